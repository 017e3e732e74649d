import { bytesEqual, concat, toHex, u32be, u64be, utf8 } from '../../../crypto/encoding.ts';
import { initialModel } from '../../../src/learning/model.ts';
import { decodeDigest, encodeDigest } from '../../../src/store/digest-file.ts';
import { nodeDisk } from '../../../src/store/disk.ts';
import type { RecordStore } from '../../../src/store/port.ts';
import { FileSumStore } from '../../../src/store/sum-store.ts';
import { DEFAULT_UPLOAD_LIMITS, FileUploadStore } from '../../../src/store/upload-store.ts';
import { readOptimiser, writeOptimiser } from '../../../src/training/optimiser-state.ts';
import { law, type Target } from '../target.ts';

/** Rows as a store gives them back. */
function rowsOf(value: Uint8Array): Pick<RecordStore, 'get'> {
  return { get: async () => value };
}

const CORRUPT = { StoreError: ['CORRUPT'] };
const model = initialModel({ kind: 'logistic', inputs: 4 });

/** What `writeOptimiser` puts. */
async function optimiserRow(): Promise<Uint8Array> {
  let row = new Uint8Array(0);
  const tx = {
    put: async (_table: string, _key: string, value: Uint8Array) => {
      row = new Uint8Array(value);
    },
    delete: async () => true,
  };
  const records = { transact: async (step: (tx: never) => Promise<unknown>) => step(tx as never) } as Pick<
    RecordStore,
    'transact'
  >;
  const state = { model, velocity: new Float32Array(4), spread: new Float32Array(4), round: 3, meanCount: 1.5 };
  await writeOptimiser(records, 'task', 'hash', { state, from: 'ab'.repeat(32) }, null);
  return row;
}

/** A store whose every row is this one. */
function recordsOf(value: Uint8Array): RecordStore {
  const tx = { get: async () => value, put: async () => undefined };
  return { ...tx, transact: (step: (tx: never) => unknown) => step(tx as never) } as unknown as RecordStore;
}

const digest = encodeDigest({ hash: toHex(new Uint8Array(32)), lengthBytes: 5, chunkHashes: new Uint8Array(32) });

export const stores: readonly Target[] = [
  {
    name: 'sum-row',
    reads: 'rows of running sums, and claims to them',
    form: 'bytes',
    seeds: () => [concat(u64be(3), u32be(4), utf8('meta'), digest), concat(u64be(0), u32be(0), digest)],
    refusals: CORRUPT,
    async run(input) {
      const sums = new FileSumStore('', recordsOf(input), nodeDisk);
      await sums.claim('sum', 'me', 1, 2);
      const found = (await sums.find('sum'))!;
      law(found.meta.length <= input.length && /^[0-9a-f]{64}$/.test(found.hash), 'a sum has a hash');
      return true;
    },
  },
  {
    name: 'claim-row',
    reads: 'claims to running sums',
    form: 'json',
    seeds: () => [utf8('["aggregator-1",0]')],
    refusals: {},
    run: (input) => new FileSumStore('', recordsOf(input), nodeDisk).claim('sum', 'me', 1, 2),
  },
  {
    name: 'upload-row',
    reads: 'rows of unfinished uploads',
    form: 'bytes',
    seeds: () => [concat(u64be(10), u64be(3), Uint8Array.of(0), new Uint8Array(32))],
    refusals: CORRUPT,
    async run(input) {
      const uploads = new FileUploadStore('', recordsOf(input), null as never, nodeDisk, DEFAULT_UPLOAD_LIMITS);
      law(/^[0-9a-f]{64}$/.test((await uploads.status('upload')).hash), 'an upload has a hash');
      return true;
    },
  },
  {
    name: 'digest',
    reads: 'digests of stored files',
    form: 'bytes',
    seeds: () =>
      [0, 1, (1 << 20) + 1].map((lengthBytes) =>
        encodeDigest({
          hash: toHex(new Uint8Array(32)),
          lengthBytes,
          chunkHashes: new Uint8Array(32 * Math.ceil(lengthBytes / (1 << 20))),
        }),
      ),
    refusals: CORRUPT,
    run(input) {
      law(bytesEqual(encodeDigest(decodeDigest(input)), input), 'encodeDigest(decodeDigest(b)) = b');
      return true;
    },
  },
  {
    name: 'optimiser-row',
    reads: 'stored optimiser states',
    form: ['json', 'bytes'],
    seeds: async () => [await optimiserRow()],
    refusals: CORRUPT,
    async run(input) {
      const read = await readOptimiser(rowsOf(input), 'task', 'hash', model);
      law(read === null || read.state.velocity.length === model.values.length, 'a velocity per weight');
      return true;
    },
  },
];
