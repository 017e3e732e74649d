import { extname, join } from 'node:path';
import { fromHex } from '../../crypto/encoding.ts';
import { weightOfCohort } from '../../protocols/one-shot.ts';
import { resultHashOf } from '../../protocols/recipient.ts';
import { type NamedShape, type Task, taskHashOf } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import { writeDurably } from '../config/files.ts';
import { Connection } from '../grpc/connection.ts';
import { download } from '../grpc/download.ts';
import { ResultService } from '../grpc/services.ts';
import { readCard } from '../keys/party-folder.ts';
import { encodeSafetensors, namedTensors } from '../learning/safetensors.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { meanOf, weightIn } from '../training/weighted.ts';
import { asking, type Caller, findRound, openCaller, readLogOnce } from './caller.ts';
import { CliError, usageError } from './exit.ts';
import { noiseLines } from './noise-words.ts';
import { encodeNpy } from './npy-file.ts';
import { grouped } from './output.ts';
import { readRecipientConfig } from './recipient-config.ts';

export interface ResultRequest {
  readonly round: string;
  readonly out: string;
  readonly task: string | null;
  readonly mean: boolean;
}

/** File mode: a sum is the recipient's own. */
const PRIVATE = 0o600;
const ENDINGS = ['.safetensors', '.npy', '.json'];

/** The opened integers of a released round, checked against the hash in its release leaf. */
async function fetchIntegers(caller: Caller, round: Round & { readonly phase: 'released' }): Promise<Int32Array> {
  const { address, tlsKeySha256 } = readCard(join(caller.folder, 'card.json'));
  const self = new Connection({ address, tls: caller.tls, expected: { pins: [tlsKeySha256], role: 'recipient' } });
  const values = new Int32Array(round.record.parameters.dimension);
  const bytes = new Uint8Array(values.buffer);
  const request = (offsetBytes: bigint) => ({ roundId: fromHex(round.id, 32), offsetBytes });
  const options = { expectedBytes: bytes.length, maxBytes: bytes.length, attempts: 3 };
  await asking('this recipient', self, () =>
    download([self], ResultService.fetch, request, (chunk, offset) => bytes.set(chunk, offset), options),
  );
  if (resultHashOf(nodePrimitives, values) !== round.resultHash) {
    throw new CliError('RESULT_MISMATCH', 'the recipient holds another sum than the one that was released');
  }
  return values;
}

function released(round: Round): Round & { readonly phase: 'released' } {
  if (round.phase === 'released') return round;
  const state = round.phase === 'aborted' ? `was aborted (${round.reason})` : `is still ${round.phase}`;
  throw new CliError(
    'NOT_RELEASED',
    `round ${round.record.number} of ${round.record.task} has no released sum: it ${state}`,
  );
}

/** The task of a round, of which the recipient has a file. */
function taskOfRound(folder: string, { record }: Round): Task | undefined {
  return readRecipientConfig(folder).tasks.find((own) => taskHashOf(nodePrimitives, own) === record.taskHash);
}

/** Without the task's file nobody knows of weights. */
function meanIn(task: Task | undefined, sum: Float64Array, nodes: number): Float64Array {
  return task === undefined ? sum.map((value) => value / nodes) : meanOf(task, sum, nodes);
}

/** Names of all numbers: the task's, where it has some, and the nodes' weight where it weighs and they are not divided by it. */
function layersOf(task: Task | undefined, what: string, length: number): readonly NamedShape[] {
  const hasWeight = task?.weightMax !== undefined && what === 'sum';
  const named = task?.tensors ?? [{ name: what, shape: [length - (hasWeight ? 1 : 0)] }];
  return hasWeight ? [...named, { name: 'weight', shape: [1] }] : named;
}

/** A released round with its exact integers, from the recipient whose folder it is, checked against the log. */
export async function openedRound(folder: string, wanted: Pick<ResultRequest, 'round' | 'task'>) {
  const caller = await openCaller(folder);
  if (caller.role !== 'recipient') {
    throw new CliError(
      'ROLE_REFUSED',
      `${caller.folder} is the folder of ${caller.name} (${caller.role}): sums are fetched with --dir of the recipient that opened them`,
    );
  }
  const { transcript } = await readLogOnce(caller);
  const round = released(findRound(transcript, wanted.round, wanted.task));
  return { round, integers: await fetchIntegers(caller, round) };
}

/** Writes the sum, or the mean, in the units of the updates. */
export async function fetchResult(folder: string, request: ResultRequest, say: (line: string) => void): Promise<void> {
  const ending = extname(request.out);
  if (!ENDINGS.includes(ending)) throw usageError(`--out: the file ends in ${ENDINGS.join(', ')}, not '${ending}'`);
  const { round, integers } = await openedRound(folder, request);
  const nodes = round.decision.attempt.cohort.length;
  const weight = weightOfCohort(round.record, round.decision.attempt.cohort);
  const sum = Float64Array.from(integers, (value) => value / round.record.scale);
  const task = taskOfRound(folder, round);
  const values = request.mean ? meanIn(task, sum, weight) : sum;
  if (task?.weightMax !== undefined && !request.mean) values[values.length - 1] = weightIn(task, sum, weight);
  const what = request.mean ? 'mean' : 'sum';
  const tensors = layersOf(task, what, values.length);
  if (ending === '.npy') {
    const shape = tensors.length === 1 ? tensors[0]!.shape : [values.length];
    writeDurably(request.out, encodeNpy(values, shape), PRIVATE);
  } else if (ending === '.safetensors') {
    writeDurably(request.out, encodeSafetensors(namedTensors(Float32Array.from(values), tensors)), PRIVATE);
  } else {
    const { number, scale } = round.record;
    const fields = {
      task: round.record.task,
      round: number,
      roundId: round.id,
      resultHash: round.resultHash,
      nodes,
      ...(weight === nodes ? {} : { staleWeight: weight }),
      scale,
      integers: [...integers],
      [what]: [...values],
    };
    writeDurably(request.out, `${JSON.stringify(fields)}\n`, PRIVATE);
  }
  say(
    `round ${round.record.number} of ${round.record.task}: ${what} of ${nodes} nodes, ${grouped(values.length)} numbers, equal to the released hash -> ${request.out}`,
  );
  const { parameters, ...record } = round.record;
  if (record.masking === 'none')
    say(
      `masking none: the updates count as ${weight.toPrecision(4)} fresh ones; nobody signed anything about their sum, so it is not checked until 'veilsum audit --blobs' adds up again`,
    );
  for (const line of noiseLines({ ...record, ...parameters }, nodes)) say(line);
}
