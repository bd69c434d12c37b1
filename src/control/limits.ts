/** What is served, and how much of it a client may have. */
import type { Answer } from './answer.ts';

/** Makes the answer to one request. A thrown MloError is told to whoever asked. */
export type Route = (query: URLSearchParams, body: Record<string, unknown>) => Answer | Promise<Answer>;

/** By method and path: "GET /stats". */
export type Routes = Readonly<Record<string, Route>>;

export interface HttpLimits {
  /** Connections at once. */
  connections: number;
  headerBytes: number;
  bodyBytes: number;
  /** For a whole request to arrive. */
  requestMs: number;
  /** For an answer to be read. */
  answerMs: number;
  /** Answers, of all connections, that were not read yet. */
  unreadBytes: number;
}

export const defaultLimits: HttpLimits = {
  connections: 64,
  headerBytes: 8 * 1024,
  bodyBytes: 64 * 1024,
  requestMs: 5000,
  answerMs: 5000,
  unreadBytes: 8 * 1024 * 1024,
};
