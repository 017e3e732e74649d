import { once } from 'node:events';
import express from 'express';
import { listenHttp } from '../src/http/listen.ts';
import { datasetSchema } from '../src/learning/datasets.ts';
import { loadTensorFlow } from '../src/learning/load-tensorflow.ts';
import { sampleModel, sampleOrganisations } from '../src/scoring/sample.ts';
import { scoreTable } from '../src/scoring/scores.ts';
import { serveScores } from '../src/scoring/serve.ts';
import { wordsFor } from '../src/scoring/words.ts';

/** What the parent says first: where tokens and the access log are, and how many organisations there are to be. */
export interface ScoreServerOrder {
  readonly tokensFile: string;
  readonly accessLogFile: string;
  readonly organisations: number;
}

/** What it is told when both servers run. */
export interface ScoreServerReady {
  readonly scores: string;
  /** An express route with a static answer: its length is set by a message `{ bytes }`, which is sent back. */
  readonly fixed: string;
  readonly organisations: number;
  readonly territories: readonly string[];
  /** To score all of them, in ms, the library loaded and warm. */
  readonly scoreMs: number;
}

const [order] = (await once(process, 'message')) as [ScoreServerOrder];
const { tf } = await loadTensorFlow(['wasm']);
const schema = datasetSchema('synthetic');
const table = sampleOrganisations(order.organisations);
const columns = { id: 'id', name: 'organisation', territory: 'territory' };
const settings = { tf, model: sampleModel(tf), schema, words: wordsFor(schema), table, columns, least: 10 };
scoreTable(settings);
const start = performance.now();
const scores = scoreTable(settings);
const scoreMs = performance.now() - start;
const { address } = await serveScores({
  ...{ scores, table, calibration: null, dimensions: ['industry', 'size', 'contract'], least: 10 },
  ...{ ...order, requestsPerMinute: 1e6, behindProxy: false, host: '127.0.0.1', port: 0, certificate: null },
  about: { outcome: 'being a hot lead', modelHash: '00', schema: 'synthetic', scoredAt: new Date().toISOString() },
});

let answer = '';
const app = express();
app.get('/', (_request, response) => void response.type('application/json').send(answer));
const fixed = await listenHttp(app, '127.0.0.1', 0);
process.on('message', ({ bytes }: { bytes: number }) => {
  answer = JSON.stringify('x'.repeat(bytes - 2));
  process.send!({ bytes });
});
const ready: ScoreServerReady = {
  ...{ scores: address, fixed: fixed.url, organisations: scores.organisations.length },
  ...{ territories: [...scores.territories.keys()], scoreMs },
};
process.send!(ready);
