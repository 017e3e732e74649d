import { join } from 'node:path';
import { accountRows } from './account-rows.ts';
import { joinPipeline } from './crm-pipeline.ts';
import type { DatasetName } from './dataset-names.ts';
import { LearningError } from './errors.ts';
import { type DesignMatrix, encodeTable, requireBothClasses } from './features.ts';
import type { Unlabelled } from './pseudo-labels.ts';
import { type FeatureSchema, parseSchema } from './schema.ts';
import accountsSchema from './schemas/accounts.json' with { type: 'json' };
import bankSchema from './schemas/bank.json' with { type: 'json' };
import churnSchema from './schemas/churn.json' with { type: 'json' };
import clvSchema from './schemas/clv.json' with { type: 'json' };
import conversationText from './schemas/conversation-text.json' with { type: 'json' };
import crmSchema from './schemas/crm.json' with { type: 'json' };
import leadsSchema from './schemas/leads.json' with { type: 'json' };
import syntheticSchema from './schemas/synthetic.json' with { type: 'json' };
import telcoSchema from './schemas/telco.json' with { type: 'json' };
import { type SyntheticSettings, syntheticRegions } from './synthetic.ts';
import { syntheticConversations } from './synthetic-conversations.ts';
import { column, dropColumns, isHeldOut, makeTable, readCsv, selectRows, type Table } from './table.ts';

/** One region's rows before encoding: what its node keeps, as files, where the data lives. */
export interface RegionTables {
  readonly name: string;
  readonly train: Table;
  readonly heldOut: Table;
}

/** One region's rows, encoded. Training and held-out rows are disjoint records. */
export interface Region {
  readonly name: string;
  readonly train: DesignMatrix;
  readonly heldOut: DesignMatrix;
  /** Rows with a blank label, where the task takes them. */
  readonly unlabelled?: Unlabelled;
}

export interface Dataset {
  readonly name: DatasetName;
  readonly schema: FeatureSchema;
  readonly regions: readonly RegionTables[];
}

export interface DatasetSettings {
  /** Folder of the published tables (environment VEILSUM_DATA). Not needed for generated ones. */
  readonly folder?: string | undefined;
  /** For generated tables. */
  readonly seed?: string | number;
  readonly size?: number;
}

/** Whether a dataset's rows are generated here from a seed, rather than read from a folder. */
export function isGenerated(name: DatasetName): boolean {
  return SOURCES[name].kind === 'generated';
}

/** The dataset's public feature schema. */
export function datasetSchema(name: DatasetName): FeatureSchema {
  return parseSchema(SOURCES[name].schema);
}

/**
 * Loads a dataset cut into its regions, each into training and held-out rows by {@link isHeldOut} on the row's number
 * in the whole file.
 *
 * @throws LearningError DATA_NOT_FOUND when a published table is asked for and its folder is not given or lacks it.
 */
export function loadDataset(name: DatasetName, settings: DatasetSettings = {}): Dataset {
  const source = SOURCES[name];
  const schema = parseSchema(source.schema);
  if (source.kind === 'generated') {
    let first = 0;
    const regions = source.make({ seed: settings.seed ?? 1, size: settings.size ?? 1 }).map((table) => {
      const rows = Array.from({ length: table.rowCount }, (_, row) => row);
      const region = splitRows(table.name, table, rows, first);
      first += table.rowCount;
      return region;
    });
    return { name, schema, regions };
  }
  if (!settings.folder) {
    throw new LearningError(
      'DATA_NOT_FOUND',
      `dataset ${name} needs the folder of the published tables: set VEILSUM_DATA`,
    );
  }
  const file = readCsv(join(settings.folder, source.file));
  const whole = dropColumns(source.prepare?.(file, settings.folder) ?? file, source.drop);
  const regionOf = source.regionOf(whole, settings.folder);
  const groups = new Map<string, number[]>(source.regionNames.map((region) => [region, []]));
  for (let row = 0; row < whole.rowCount; row++) {
    const group = groups.get(regionOf(row));
    if (!group) throw new LearningError('BAD_TABLE', `table ${whole.name}, row ${row + 1}: belongs to no known region`);
    group.push(row);
  }
  return { name, schema, regions: [...groups].map(([region, rows]) => splitRows(region, whole, rows, 0)) };
}

/** @throws LearningError EMPTY_REGION, ONE_CLASS and those of {@link encodeTable}. */
export function encodeRegion(tables: RegionTables, schema: FeatureSchema): Region {
  const train = encodeTable(tables.train, schema);
  requireBothClasses(tables.train.name, train.y);
  // A very small table may have no held-out row: its node then adds nothing to the evaluation.
  const isEmpty = tables.heldOut.rowCount === 0;
  const heldOut = isEmpty
    ? { ...train, rows: 0, x: new Float32Array(), y: new Uint8Array() }
    : encodeTable(tables.heldOut, schema);
  return { name: tables.name, train, heldOut };
}

/** Several regions' rows as one matrix: for the centralised reference, which no real deployment may compute. */
export function poolRows(parts: readonly DesignMatrix[]): DesignMatrix {
  const first = parts[0];
  if (!first) throw new LearningError('EMPTY_REGION', 'there is no region to pool');
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const x = new Float32Array(rows * first.width);
  const y = new Uint8Array(rows);
  let offset = 0;
  for (const part of parts) {
    if (part.width !== first.width) throw new LearningError('BAD_SCHEMA', 'regions were encoded by different schemas');
    x.set(part.x, offset * first.width);
    y.set(part.y, offset);
    offset += part.rows;
  }
  return { rows, width: first.width, x, y, outside: new Map() };
}

function splitRows(region: string, whole: Table, rows: readonly number[], first: number): RegionTables {
  const train = rows.filter((row) => !isHeldOut(first + row));
  const heldOut = rows.filter((row) => isHeldOut(first + row));
  return {
    name: region,
    train: selectRows(whole, train, `${region} (training rows)`),
    heldOut: selectRows(whole, heldOut, `${region} (held-out rows)`),
  };
}

type RegionOf = (row: number) => string;

interface PublishedSource {
  readonly kind: 'published';
  readonly schema: unknown;
  readonly file: string;
  /** Joins tables, and leaves out rows that have no outcome yet. */
  readonly prepare?: (file: Table, folder: string) => Table;
  /** Identifiers, and what is only known after the outcome. */
  readonly drop: readonly string[];
  readonly regionNames: readonly string[];
  readonly regionOf: (whole: Table, folder: string) => RegionOf;
}

const BANK = { kind: 'published', schema: bankSchema, file: 'bank-full.csv.gz', drop: ['duration'] } as const;

const BANK_JOBS = new Map([
  ...['blue-collar', 'services', 'housemaid'].map((job) => [job, 'R1'] as const),
  ...['management', 'entrepreneur', 'self-employed'].map((job) => [job, 'R2'] as const),
  ...['technician', 'admin.'].map((job) => [job, 'R3'] as const),
]);

const LEADS_CITIES = new Map([
  ['Mumbai', 'mumbai'],
  ['Thane & Outskirts', 'maharashtra'],
  ['Other Cities of Maharashtra', 'maharashtra'],
  ['Select', 'not-stated'],
  ['', 'not-stated'],
]);

interface GeneratedSource {
  readonly kind: 'generated';
  readonly schema: unknown;
  readonly make: (settings: SyntheticSettings) => Table[];
}

/** The synthetic tables' schema, and the text of the last call. */
const CONVERSATIONS = {
  ...syntheticSchema,
  name: 'conversations',
  features: [...syntheticSchema.features, ...conversationText],
};

const SOURCES: Readonly<Record<DatasetName, PublishedSource | GeneratedSource>> = {
  synthetic: { kind: 'generated', schema: syntheticSchema, make: syntheticRegions },
  conversations: { kind: 'generated', schema: CONVERSATIONS, make: syntheticConversations },
  accounts: { kind: 'generated', schema: accountsSchema, make: accountRows },
  leads: {
    kind: 'published',
    schema: leadsSchema,
    file: 'Leads.csv.gz',
    drop: [
      'Prospect ID',
      'Lead Number',
      'Tags',
      'Lead Quality',
      'Lead Profile',
      'Asymmetrique Activity Index',
      'Asymmetrique Profile Index',
      'Asymmetrique Activity Score',
      'Asymmetrique Profile Score',
      'Last Activity',
      'Last Notable Activity',
    ],
    regionNames: ['mumbai', 'maharashtra', 'not-stated', 'elsewhere'],
    regionOf: (whole) => {
      const city = column(whole, 'City');
      return (row) => LEADS_CITIES.get(city[row]!) ?? 'elsewhere';
    },
  },
  bank: {
    ...BANK,
    regionNames: ['R1', 'R2', 'R3', 'R4'],
    regionOf: (whole) => {
      const job = column(whole, 'job');
      return (row) => BANK_JOBS.get(job[row]!) ?? 'R4';
    },
  },
  'bank-drift': {
    ...BANK,
    regionNames: ['Q1', 'Q2', 'Q3', 'Q4'],
    regionOf: (whole) => (row) => `Q${1 + Math.floor((4 * row) / whole.rowCount)}`,
  },
  churn: {
    kind: 'published',
    schema: churnSchema,
    file: 'Churn_Modelling.csv',
    drop: ['RowNumber', 'CustomerId', 'Surname'],
    regionNames: ['france', 'germany', 'spain'],
    regionOf: (whole) => {
      const country = column(whole, 'Geography');
      return (row) => country[row]!.toLowerCase();
    },
  },
  telco: {
    kind: 'published',
    schema: telcoSchema,
    file: 'Telco-Customer-Churn.csv.gz',
    drop: [],
    regionNames: ['LA', 'SD_IE', 'VALLEY_COAST', 'BAY', 'NORTH'],
    regionOf: (whole, folder) => {
      const map = readCsv(join(folder, 'telco_region_map.csv'));
      const zones = column(map, 'region');
      const zoneOf = new Map(column(map, 'customerID').map((id, row) => [id, zones[row]!]));
      const ids = column(whole, 'customerID');
      return (row) => zoneOf.get(ids[row]!) ?? '';
    },
  },
  clv: {
    kind: 'published',
    schema: clvSchema,
    file: 'WA_Fn-UseC_-Marketing-Customer-Value-Analysis.csv.gz',
    drop: ['Customer', 'Effective To Date'],
    regionNames: ['california', 'oregon', 'arizona', 'nevada', 'washington'],
    regionOf: (whole) => {
      const state = column(whole, 'State');
      return (row) => state[row]!.toLowerCase();
    },
  },
  crm: {
    kind: 'published',
    schema: crmSchema,
    file: 'sales_pipeline.csv',
    prepare: joinPipeline,
    drop: [],
    regionNames: ['central', 'west', 'east'],
    regionOf: (whole) => {
      const office = column(whole, 'regional_office');
      return (row) => office[row]!.toLowerCase();
    },
  },
};

/** Rebuilds a region's tables that were written with {@link formatCsv} into two files. */
export function readRegionFiles(name: string, trainPath: string, heldOutPath: string): RegionTables {
  const rename = (table: Table, part: string): Table => makeTable(`${name} (${part} rows)`, table.columns);
  return {
    name,
    train: rename(readCsv(trainPath, ','), 'training'),
    heldOut: rename(readCsv(heldOutPath, ','), 'held-out'),
  };
}
