import { readFileSync } from 'node:fs';
import { basename, extname, join, resolve } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { DATASETS } from '../learning/dataset-names.ts';
import { readFeatureFile } from '../learning/feature-file.ts';
import { schemaInputs } from '../learning/schema-inputs.ts';

/** A feature file, and how each local node comes to its tables. */
export interface LocalFeatures {
  /** As the person named it: a path, or a built-in one. */
  readonly named: string;
  /** Files that a node's tables are expected in, within its folder. */
  readonly files: readonly string[];
  /** Writes `region.yaml`, with a copy of the feature file, into a node's folder. */
  write(folder: string): void;
}

/** @throws ConfigError, LearningError when it is no feature file. */
export function localFeatures(named: string): LocalFeatures {
  const tables = [...schemaInputs(readFeatureFile(named, resolve))];
  const isBuiltIn = (DATASETS as readonly string[]).includes(named);
  const copy = `features${extname(named) || '.yaml'}`;
  const fileOf = (table: string): string => `${basename(table)}.csv`;
  const lines = [
    "# This region's rows (fields: veilsum node train --help). Nothing is sent by: veilsum node train --config region.yaml --check",
    'node: .',
    `features: ${JSON.stringify(isBuiltIn ? named : copy)}`,
    'tables:',
    ...tables.flatMap(([table, columns]) => [
      `  # columns: ${[...columns].map((column) => JSON.stringify(column)).join(', ')}`,
      `  ${JSON.stringify(table)}: {from: csv, path: ${JSON.stringify(fileOf(table))}}`,
    ]),
  ];
  return {
    named,
    files: tables.map(([table]) => fileOf(table)),
    write: (folder) => {
      if (!isBuiltIn) writeDurably(join(folder, copy), readFileSync(named));
      writeDurably(join(folder, 'region.yaml'), `${lines.join('\n')}\n`);
    },
  };
}
