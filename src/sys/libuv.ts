/** libuv's default loop, which Node runs: for one who waits in its stead, and to have it wait for one thing more. */
import koffi from 'koffi';

const node = koffi.load(null);
const loop = node.func('void *uv_default_loop()')();

/** The descriptor of the loop (readable when it has work), for a poll that waits for it beside others. */
export function libuvDescriptor(): number {
  return node.func('int uv_backend_fd(void *)')(loop) as number;
}

/**
 * How long the loop may be left waiting, in milliseconds (0: it has work or descriptors to register now; -1: nothing is
 * planned).
 */
export function libuvTimeout(): () => number {
  const updateTime = node.func('void uv_update_time(void *)');
  const backendTimeout = node.func('int uv_backend_timeout(void *)');
  return () => {
    updateTime(loop); // the loop's clock stands still while one of its callbacks runs
    return backendTimeout(loop) as number;
  };
}

const UV_POLL = 8;
const UV_READABLE = 1;

/** Has the loop, and so the process, stay awake or not for a descriptor that it watches. */
export interface Watch {
  /** The loop does not end: something is to come by the descriptor. */
  hold(): void;
  letGo(): void;
}

/**
 * Wakes the loop whenever a descriptor is readable, and for as long as it is. Nobody is called: who is interested plans an
 * immediate, which runs when the loop has woken. (A callback would have to be JavaScript's, and enter it from outside.)
 * Not held at first. It lasts as long as the process; undefined when libuv cannot watch such a descriptor.
 */
export function watchReadable(descriptor: number): Watch | undefined {
  const pollInit = node.func('int uv_poll_init(void *, void *, int)');
  const pollStart = node.func('int uv_poll_start(void *, int, void *)');
  const reference = node.func('void uv_ref(void *)');
  const unreference = node.func('void uv_unref(void *)');
  const size = node.func('size_t uv_handle_size(int)')(UV_POLL) as number;
  // Not the JavaScript heap's, which is gone before libuv is done with its handles.
  const handle = node.func('void *calloc(size_t, size_t)')(1, size);
  // Anything that can be called and does nothing.
  const nothing = node.func('void *dlsym(void *, const char *)')(null, 'uv_version');
  if (nothing === null || (pollInit(loop, handle, descriptor) as number) !== 0) return undefined;
  if ((pollStart(handle, UV_READABLE, nothing) as number) !== 0) return undefined;
  unreference(handle);
  return { hold: () => reference(handle), letGo: () => unreference(handle) };
}
