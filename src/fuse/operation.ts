/** What the dispatcher needs to know of an opcode: how to call the file system for it, and how to answer. */
import type { FileSystem, NodeId } from '../overlay/filesystem.ts';
import type { Carrier } from '../sys/carrier.ts';
import type { Failure, Outcome, Reply } from '../sys/errno.ts';
import type { DirectoryReply } from './directory-reply.ts';
import type { ReplyBuffer } from './replies.ts';
import type { Request } from './requests.ts';

export interface Context {
  readonly fileSystem: FileSystem;
  readonly reply: ReplyBuffer;
  /** Requests of SETXATTR have the longer fixed part. */
  setxattrExtended: boolean;
  /** For replies that are answered at once. */
  readonly carrier: Carrier | undefined;
  takeDirectoryReply(): DirectoryReply;
  giveDirectoryReply(directory: DirectoryReply): void;
}

export interface Operation<T = unknown> {
  /** Bytes of the fixed part; a shorter body is answered EIO and never reaches `call`. */
  readonly body: number;
  /** Offsets in the body of 64-bit numbers that must be exact (below 2^53); else EINVAL. */
  readonly wide: readonly number[];
  /** No reply is wanted. */
  readonly silent: boolean;
  /** When answered later and interrupted, the answer is EINTR at once. Only for operations that change nothing. */
  interruptible(request: Request): boolean;
  /** The request's data is used until the reply has settled. */
  readonly keepsFrame: boolean;
  /** The reply's bytes come with the outcome (`LateBytes`) when it is late. */
  readonly bytesLate: boolean;

  /** How many bytes of payload the request asks for; 0 where it has no say. */
  asked(request: Request): number;
  /** The longest payload that may answer a request that asked for so much. */
  most(asked: number): number;
  call(context: Context, request: Request): Reply<T>;
  /** Writes the payload; its length or a failure. */
  encode(context: Context, value: T, asked: number): number;
  /** The reply did not reach the kernel: gives back what it handed out. */
  undo(fileSystem: FileSystem, node: NodeId, value: T): void;
}

type Described<T> = Pick<Operation<T>, 'call'> & Partial<Operation<T>>;

const nothing = (): number => 0;
const never = (): boolean => false;
/** For operations that change nothing. */
export const always = (): boolean => true;

/** Fills in what most operations have in common: no payload, nothing to undo, not interruptible. */
export function operation<T>(described: Described<T>): Operation {
  const full: Operation<T> = {
    body: 0,
    wide: [],
    silent: false,
    interruptible: never,
    keepsFrame: false,
    bytesLate: false,
    asked: nothing,
    most: nothing,
    encode: nothing,
    undo: () => {},
    ...described,
  };
  return full as Operation;
}

/** An operation that is always answered so. */
export function refuse(failure: Failure): Operation {
  return operation<0>({ call: () => failure });
}

export function isFailure(outcome: Outcome<string> | Outcome<Buffer>): outcome is Failure {
  return typeof outcome === 'number';
}
