import { bytesEqual, toHex } from '../../../crypto/encoding.ts';
import { initialModel } from '../../../src/learning/model.ts';
import { decodeDigest, encodeDigest } from '../../../src/store/digest-file.ts';
import type { RecordStore } from '../../../src/store/port.ts';
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
  const state = { model, velocity: new Float32Array(4), round: 3, meanCount: 1.5 };
  await writeOptimiser(records, 'task', 'hash', { state, from: 'ab'.repeat(32) }, null);
  return row;
}

export const stores: readonly Target[] = [
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
