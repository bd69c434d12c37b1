/** What a document of statistics has at a key, as the table of metrics writes keys. */

export interface Sample {
  /** What `*` or the element stood for. */
  label: string | undefined;
  value: unknown;
}

/** What a document has at a key; nothing where it, or something above it, is missing or null. */
export function samplesOf(document: object, key: string): Sample[] {
  let samples: Sample[] = [{ label: undefined, value: document }];
  for (const step of key.split('.')) {
    const list = step.endsWith('[]');
    const name = list ? step.slice(0, -2) : step;
    samples = samples.flatMap(({ label, value }) => {
      if (typeof value !== 'object' || value === null) return [];
      if (name === '*') return Object.entries(value).map(([each, inner]) => ({ label: each, value: inner as unknown }));
      const inner = (value as Record<string, unknown>)[name];
      if (!list) return [{ label, value: inner }];
      return Array.isArray(inner) ? inner.map((element: unknown) => ({ label: labelOf(element), value: element })) : [];
    });
  }
  return samples.filter(({ value }) => value !== null && value !== undefined);
}

function labelOf(element: unknown): string {
  const path = (element as { path?: unknown } | null)?.path;
  return typeof path === 'string' ? path : '';
}
