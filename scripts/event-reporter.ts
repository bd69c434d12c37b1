/** A reporter for node:test that writes one JSON line a finished test: what run-tests.ts adds up. */
import type { TestEvent } from 'node:test/reporters';

export interface Finished {
  name: string;
  passed: boolean;
  /** The reason; undefined: it ran. */
  skipped: string | undefined;
  todo: boolean;
  /** Why it failed, in a line or a few. */
  error: string | undefined;
}

const ERROR_MOST = 600;

/** Assertions of node:test come wrapped in an error of its own. */
function messageOf(error: Error): string {
  const { message } = error.cause instanceof Error ? error.cause : error;
  return message.length > ERROR_MOST ? `${message.slice(0, ERROR_MOST)}...` : message;
}

// biome-ignore lint/style/noDefaultExport: node:test takes a reporter from a module's default export
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const above: string[] = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      above.length = data.nesting;
      above.push(data.name);
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    above.length = data.nesting;
    const names = [...above, data.name];
    if (data.details.type === 'suite' && type === 'test:pass' && !data.skip) continue;
    const skipped = data.skip === true ? 'no reason given' : data.skip || undefined;
    const finished: Finished = {
      name: names.join(' > '),
      passed: type === 'test:pass' || Boolean(data.todo),
      skipped,
      todo: Boolean(data.todo),
      error: type === 'test:fail' ? messageOf(data.details.error) : undefined,
    };
    yield `${JSON.stringify(finished)}\n`;
  }
}
