import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { datasetSchema } from '../../src/learning/datasets.ts';
import { loadTensorFlow } from '../../src/learning/load-tensorflow.ts';
import type { Table } from '../../src/learning/table.ts';
import { sampleModel, sampleOrganisations } from '../../src/scoring/sample.ts';
import { type Scores, scoreTable } from '../../src/scoring/scores.ts';
import { type RunningScores, type ServeSettings, serveScores } from '../../src/scoring/serve.ts';
import { addSeller } from '../../src/scoring/tokens.ts';
import { wordsFor } from '../../src/scoring/words.ts';

/** Made-up organisations, scored, and a folder for tokens. */
export class ScoreLab {
  readonly folder = mkdtempSync(join(tmpdir(), 'veilsum-scores-'));
  readonly tokensFile = join(this.folder, 'tokens.json');
  readonly accessLogFile = join(this.folder, 'access.log');
  readonly table: Table;
  readonly scores: Scores;

  private constructor(table: Table, scores: Scores) {
    this.table = table;
    this.scores = scores;
  }

  static async make(organisations = 400): Promise<ScoreLab> {
    const { tf } = await loadTensorFlow(['wasm']);
    const schema = datasetSchema('synthetic');
    const table = sampleOrganisations(organisations);
    const columns = { id: 'id', name: 'organisation', territory: 'territory' };
    const settings = { tf, model: sampleModel(tf), schema, words: wordsFor(schema), table, columns, least: 10 };
    return new ScoreLab(table, scoreTable(settings));
  }

  /** A seller's token, good for a day unless told otherwise. */
  token(name: string, territories: readonly string[], expires = Date.now() / 1000 + 86_400): string {
    return addSeller(this.tokensFile, { name, territories: [...territories], expires: Math.floor(expires) });
  }

  serve(changes: Partial<ServeSettings> = {}): Promise<RunningScores> {
    return serveScores({
      scores: this.scores,
      table: this.table,
      calibration: null,
      dimensions: ['industry', 'size'],
      least: 10,
      about: {
        outcome: 'being a hot lead',
        modelHash: 'ab'.repeat(32),
        schema: 'synthetic',
        scoredAt: '2026-11-23T00:00:00Z',
      },
      tokensFile: this.tokensFile,
      accessLogFile: this.accessLogFile,
      requestsPerMinute: 10_000,
      behindProxy: false,
      host: '127.0.0.1',
      port: 0,
      certificate: null,
      ...changes,
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
