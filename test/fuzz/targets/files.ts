import { bytesEqual, toBase64, utf8 } from '../../../crypto/encoding.ts';
import { sitePolicyField } from '../../../protocols/site-policy.ts';
import { encodeNpy } from '../../../src/cli/npy-file.ts';
import { federationField } from '../../../src/config/federation.ts';
import { parseValidated } from '../../../src/config/files.ts';
import { cardField } from '../../../src/keys/card.ts';
import { initialModel } from '../../../src/learning/model.ts';
import { decodeNpy } from '../../../src/learning/npy.ts';
import {
  decodeSafetensors,
  encodeSafetensors,
  modelFromTensors,
  modelTensors,
} from '../../../src/learning/safetensors.ts';
import { parseSchema } from '../../../src/learning/schema.ts';
import { formatCsv, parseCsv } from '../../../src/learning/table.ts';
import { nodeConfigField } from '../../../src/party/node-config.ts';
import { encodeParts } from '../../../src/party/parts.ts';
import { law, partsOf, type Target } from '../target.ts';

const SCHEMAS = [sitePolicyField, nodeConfigField, federationField, cardField];
const HASH = 'ab'.repeat(32);
const KEY = toBase64(new Uint8Array(32).fill(7));
const endpoint = { name: 'a', address: '[::1]:443', tlsKeySha256: HASH };

/** A file for each schema, as our own commands or people write it. */
const CONFIGS: readonly string[] = [
  `genesis: ${HASH}\ntasks: [lead-scoring]\nrecipients:\n  - recipient-1\nminCohort: 2\nminOrganisations: 1\nminHonest: 2\nlargestSharePercent: 100\nbudgetRhoNano: 5 # a comment\nallowCheckSums: false\n`,
  'tasks: ["task.json"]\npolicy: policy.yaml\ndata:\n  train: &t train.csv\n  heldOut: held.csv\nengine: auto\n',
  JSON.stringify(
    {
      version: 1,
      genesis: 'AA==',
      genesisHash: HASH,
      authority: 'PEM',
      coordinator: endpoint,
      aggregators: [endpoint],
      members: [endpoint, endpoint, endpoint],
      witnesses: [],
    },
    null,
    2,
  ),
  JSON.stringify({
    version: 1,
    name: 'node-1',
    role: 'node',
    organisation: 'Org 1',
    region: 'here',
    address: 'host:1',
    key: KEY,
    kemKey: null,
    witnessKey: null,
    tlsKeySha256: HASH,
    request: 'AA==',
    possession: null,
  }),
];

const model = initialModel({ kind: 'mlp', inputs: 3, hidden: 2 });

const SCHEMA = {
  name: 'leads',
  version: 1,
  label: { column: 'won', positive: ['yes'], negative: ['no'] },
  features: [
    { kind: 'levels', column: 'source', levels: ['web', ['phone', 'tel']], base: 'web' },
    { kind: 'number', column: 'visits', transform: 'log1p', mean: 1, scale: 2, missing: 0, missingCells: ['-'] },
    { kind: 'bands', column: 'age', edges: [18, 65], base: 1 },
  ],
};

export const files: readonly Target[] = [
  {
    name: 'safetensors',
    reads: 'models and updates (safetensors)',
    form: 'bytes',
    seeds: () => [
      encodeSafetensors(modelTensors(model)),
      encodeSafetensors([
        { name: 'a', shape: [], values: new Float32Array([1.5]) },
        { name: 'b', shape: [0, 9], values: new Float32Array(0) },
      ]),
    ],
    words: [
      '{"',
      '":{"dtype":"F32","shape":[',
      '],"data_offsets":[',
      '0',
      ',',
      ']}',
      '__metadata__',
      '__proto__',
      'F64',
      'BF16',
      'I64',
      ' ',
    ],
    refusals: { LearningError: ['BAD_TENSOR_FILE', 'NOT_FINITE'] },
    run(input) {
      const tensors = decodeSafetensors(input);
      const again = decodeSafetensors(encodeSafetensors(tensors));
      law(JSON.stringify(again) === JSON.stringify(tensors), 'tensors survive being written and read again');
      try {
        modelFromTensors(model.spec, tensors);
      } catch (error) {
        law((error as { code?: string }).code === 'BAD_MODEL', `another model is refused by name: ${String(error)}`);
      }
      return true;
    },
  },
  {
    name: 'npy',
    reads: 'updates (.npy)',
    form: 'bytes',
    seeds: () => [encodeNpy(new Float64Array([1, -2.5, 0])), encodeNpy(new Float64Array(0)), float32Npy()],
    words: ["'descr': '<f4'", "'shape': (", '1, 1', ',)', '()', '\x93NUMPY', '999999999999'],
    refusals: { LearningError: ['BAD_TENSOR_FILE', 'NOT_FINITE'] },
    run(input) {
      const { values, shape } = decodeNpy(input);
      const again = decodeNpy(encodeNpy(values, shape));
      law(
        bytesEqual(bytesOf(again.values), bytesOf(values)) && String(again.shape) === String(shape),
        'numbers survive being written and read again',
      );
      return true;
    },
  },
  {
    name: 'csv',
    reads: 'tables (CSV)',
    slowdown: 4,
    form: 'text',
    seeds: () => ['a,b\n1,2\n', 'a;b;c\r\n"x;""y""";2;\r\n\r\n;;\n', '\ufeffname\n\u00fc\n'].map(utf8),
    words: [',', ';', '"', '""', '\r\n', '\n', '\r', '\ufeff'],
    refusals: { LearningError: ['BAD_TABLE'] },
    run(input) {
      const table = parseCsv('fuzz.csv', input);
      law(
        [...table.columns.values()].every(
          (cells) => cells.length === table.rowCount && !cells.includes(undefined as never),
        ),
        'a table is rectangular',
      );
      const again = parseCsv('fuzz.csv', utf8(formatCsv(table)), ',');
      law(
        JSON.stringify([...again.columns]) === JSON.stringify([...table.columns]),
        'cells survive being written and read again',
      );
      return true;
    },
  },
  {
    name: 'feature-schema',
    reads: 'feature schemas',
    slowdown: 4,
    form: 'json',
    seeds: () => [utf8(JSON.stringify(SCHEMA))],
    refusals: { LearningError: ['BAD_SCHEMA'] },
    run(input) {
      let json: unknown;
      try {
        json = JSON.parse(new TextDecoder().decode(input));
      } catch {
        return false; // `readSchema` says BAD_SCHEMA
      }
      parseSchema(json);
      return true;
    },
  },
  {
    name: 'config',
    reads: 'site policies, node.yaml, federation and card files (YAML)',
    slowdown: 10,
    form: ['bytes', 'text'],
    seeds: () => CONFIGS.map((text, i) => encodeParts([Uint8Array.of(i), utf8(text)])),
    words: [
      '- ',
      ': ',
      '&a ',
      '*a',
      '!!binary ',
      '? ',
      '|\n',
      '>-\n',
      '<<: ',
      '---\n',
      '%YAML 1.2\n',
      '[',
      '{',
      '"',
      "'",
      '#',
    ],
    refusals: { ConfigError: ['INVALID'] },
    run(input) {
      const [which, text] = partsOf(input) ?? [];
      const schema = SCHEMAS[which?.[0] ?? -1];
      if (schema === undefined || text === undefined) return false;
      parseValidated(Buffer.from(text).toString('utf8'), 'the file', schema);
      law(({} as { polluted?: unknown }).polluted === undefined, 'no prototype changes');
      return true;
    },
  },
];

const bytesOf = (values: Float64Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** As NumPy writes float32 of shape (2, 1). */
function float32Npy(): Uint8Array {
  const text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }";
  const header = Buffer.from(`${text.padEnd(117)}\n`, 'latin1');
  return new Uint8Array(
    Buffer.concat([
      Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0]),
      header,
      Buffer.from(new Float32Array([1, 2]).buffer),
    ]),
  );
}
