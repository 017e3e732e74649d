import { readValidated } from '../config/files.ts';
import { DATASETS, type DatasetName } from './dataset-names.ts';
import { datasetSchema } from './datasets.ts';
import { type FeatureSchema, featureSchemaField, parseSchema } from './schema.ts';

/**
 * A public feature file, YAML or JSON, or a built-in schema by its dataset's name.
 *
 * @throws ConfigError FILE_MISSING, FILE_UNREADABLE, INVALID; LearningError BAD_SCHEMA.
 */
export function readFeatureFile(nameOrPath: string, resolve: (path: string) => string): FeatureSchema {
  if ((DATASETS as readonly string[]).includes(nameOrPath)) return datasetSchema(nameOrPath as DatasetName);
  const hint = `or a built-in one: ${DATASETS.join(', ')}`;
  return parseSchema(readValidated(resolve(nameOrPath), 'the feature file', featureSchemaField, hint));
}
