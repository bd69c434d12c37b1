/** What the daemon and the thread that listens for it say to each other. */
import type { AddressInfo } from 'node:net';
import type { Answer } from './answer.ts';
import type { HttpLimits } from './limits.ts';

export interface Job {
  /** A path: made with mode 0600. */
  where: { path: string } | { host: string; port: number };
  /** "GET /stats": what it hands on; anything else it refuses by itself. */
  routes: readonly string[];
  limits: HttpLimits;
}

export interface Question {
  number: number;
  route: string;
  /** As in the address, without the question mark. */
  query: string;
  body: Record<string, unknown>;
}

export type FromThread = { listening: AddressInfo | string | null } | { failed: string } | { question: Question };

export interface ToThread {
  number: number;
  answer: Answer;
}
