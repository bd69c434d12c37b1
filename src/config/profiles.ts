/** Sets of options for a kind of work. Weaker than anything else that is said. */

export interface Profile {
  about: string;
  /** By option: its value as a user would write it, and why. */
  sets: Readonly<Record<string, { value: string; why: string }>>;
}

export const profiles: Readonly<Record<string, Profile>> = {
  none: { about: '', sets: {} },
  training: {
    about: 'Many epochs over data that seldom change.',
    sets: {
      ro: {
        value: 'on',
        why: 'jobs only read them; and a writable mount is asked for times at each read by the kernel',
      },
      'attr-ttl': { value: '5m', why: 'data sets change between jobs, and an epoch then asks the source for little' },
      'negative-ttl': { value: '10s', why: 'loaders look for files that may be there (labels, indexes) over and over' },
    },
  },
  serving: {
    about: 'Models that are mapped by many processes and stay open for days.',
    sets: {
      ro: { value: 'on', why: 'as for training' },
      'attr-ttl': { value: '60', why: 'a new model is seen within a minute, from a local source too' },
      'chunk-size': { value: '1M', why: 'weights are read whole: fewer requests to the source' },
      readahead: { value: '4M', why: 'a mapping is read from end to end while it loads' },
      'sample-opens': {
        value: 'off',
        why: 'a sample is not handed to the kernel, and a model would stay one for days',
      },
    },
  },
  checkpointing: {
    about: 'Large files written, and read once when a job resumes.',
    sets: {
      cache: { value: 'none', why: 'what is read once gains nothing from a copy' },
      'attr-ttl': { value: '1', why: 'other nodes write there' },
      'negative-ttl': { value: '0', why: 'jobs wait for names to appear' },
      readahead: { value: '4M', why: 'they are read from end to end' },
    },
  },
  plain: {
    about: 'As little of our own as can be: for comparing.',
    sets: {
      cache: { value: 'none', why: 'each byte comes from the source' },
      'attr-ttl': { value: '0', why: 'each open asks' },
      'negative-ttl': { value: '0', why: 'so does each name' },
    },
  },
};
