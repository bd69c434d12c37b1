/** What a store promises it promises with calls through an io_uring too: the store's tests once more, that way. */
import { beginIoUring } from '../../src/sys/uring-calls.ts';

if (beginIoUring(64) === undefined) {
  await import('./posix-operations.test.ts');
  await import('./posix-races.test.ts');
  await import('./posix-swap.test.ts');
}
