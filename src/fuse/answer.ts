/**
 * From an outcome to the reply on its way: encode, check, send. Two promises are kept here for every operation: no reply
 * is longer than was asked, and what a reply hands out (lookups, handles) is taken back when it is not delivered.
 */
import type { LateBytes } from '../overlay/filesystem.ts';
import { Errno, errnoName, type Failure, failed, type Outcome } from '../sys/errno.ts';
import type { Log } from '../telemetry/log.ts';
import { opcodeName } from './abi.ts';
import { PAYLOAD } from './codec.ts';
import type { Counters } from './counters.ts';
import type { DevicePipe } from './device-pipe.ts';
import type { Context, Operation } from './operation.ts';
import type { ReplyBuffer } from './replies.ts';

/** Where replies go. Both return the bytes sent or a negated errno. */
export interface Transport {
  send(reply: ReplyBuffer, length: number): number;
  /** A reply of `headLength` bytes that ends with `bytes`. */
  sendWith(reply: ReplyBuffer, headLength: number, bytes: Uint8Array): number;
  /** Where an operation may have its reply carried from a file; what is loaded is the reply to the request in hand. */
  readonly pipe?: DevicePipe | undefined;
}

/** What must be known of a request to answer it. */
export interface Ticket {
  operation: Operation;
  opcode: number;
  uniqueLow: number;
  uniqueHigh: number;
  node: number;
  /** Bytes of payload it asked for, where it had a say. */
  asked: number;
  /** When it arrived (monotonic ms), where somebody observes. */
  askedMs: number;
}

/** The kernel takes error numbers of this range only. */
const LARGEST_ERRNO = 511;

export class Answerer {
  readonly #context: Context;
  readonly #transport: Transport;
  readonly #counters: Counters;
  readonly #log: Log;

  constructor(context: Context, transport: Transport, counters: Counters, log: Log) {
    this.#context = context;
    this.#transport = transport;
    this.#counters = counters;
    this.#log = log;
  }

  answer(ticket: Ticket, outcome: Outcome<unknown>): void {
    if (failed(outcome)) {
      this.fail(ticket, outcome);
      return;
    }
    const { operation, node, asked } = ticket;
    const { fileSystem, reply } = this.#context;
    const payload = operation.encode(this.#context, outcome, asked);
    if (payload < 0) {
      operation.undo(fileSystem, node, outcome);
      this.fail(ticket, payload);
    } else if (payload <= operation.most(asked)) {
      reply.header(payload, 0, ticket.uniqueLow, ticket.uniqueHigh);
      const sent = this.#sendInHand(PAYLOAD + payload);
      if (sent < 0) this.#undelivered(ticket, outcome, sent);
    } else {
      this.#tooLong(ticket, payload);
      operation.undo(fileSystem, node, outcome);
      this.fail(ticket, -Errno.EIO);
    }
  }

  /** Answers with bytes that are in a buffer of the file system's. */
  answerBytes(ticket: Ticket, late: LateBytes): void {
    const { reply } = this.#context;
    const length = late.bytes.byteLength;
    if (length > ticket.operation.most(ticket.asked)) {
      this.#tooLong(ticket, length);
      this.fail(ticket, -Errno.EIO);
      return;
    }
    reply.header(length, 0, ticket.uniqueLow, ticket.uniqueHigh);
    const sent = this.#transport.sendWith(reply, PAYLOAD, late.bytes);
    if (sent < 0) this.#undelivered(ticket, late, sent);
  }

  /** A reply whose payload is behind its header, or in the pipe. */
  #sendInHand(total: number): number {
    const { pipe } = this.#transport;
    const carried = pipe?.loaded ?? 0;
    if (carried === 0) return this.#transport.send(this.#context.reply, total);
    return carried === total ? pipe!.send() : -Errno.EIO; // other bytes than those it tells of: a defect
  }

  fail(ticket: Ticket, failure: Failure): void {
    const { reply } = this.#context;
    this.dropCarried();
    this.#counters.errors[ticket.opcode]!++;
    const valid = Number.isInteger(failure) && failure >= -LARGEST_ERRNO;
    reply.header(0, valid ? failure : -Errno.EIO, ticket.uniqueLow, ticket.uniqueHigh);
    if (this.#transport.send(reply, PAYLOAD) < 0) this.#counters.undeliverable++;
  }

  /** What was carried for a reply that is not sent now. */
  dropCarried(): void {
    const { pipe } = this.#transport;
    if (pipe !== undefined && pipe.loaded > 0) pipe.discard();
  }

  defect(opcode: number, what: string, error?: unknown): void {
    this.#counters.defects++;
    this.#log.error({ opcode: opcodeName(opcode), err: error }, what);
  }

  #tooLong({ operation, opcode, asked }: Ticket, length: number): void {
    this.defect(opcode, `a reply of ${length} bytes to a request for ${operation.most(asked)}`);
  }

  #undelivered(ticket: Ticket, outcome: unknown, failure: Failure): void {
    this.#counters.undeliverable++;
    ticket.operation.undo(this.#context.fileSystem, ticket.node, outcome);
    // ENOENT: the request was aborted. ENODEV: unmounted. Anything else: the kernel refused the reply, and the request
    // may still be waiting for one.
    if (failure === -Errno.ENOENT || failure === -Errno.ENODEV) return;
    const fields = { opcode: opcodeName(ticket.opcode), errno: errnoName(failure) };
    this.#log.error(fields, 'the kernel refused a reply');
    this.fail(ticket, -Errno.EIO);
  }
}
