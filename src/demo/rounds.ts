import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalBytes, fromHex, type Json, toHex } from '../../crypto/encoding.ts';
import { isRejection } from '../../protocols/errors.ts';
import { openModel } from '../../protocols/model-box.ts';
import { chargeOfTask, type Task } from '../../protocols/task.ts';
import { isRunning, type Round } from '../../protocols/transcript.ts';
import { Connection } from '../grpc/connection.ts';
import { download } from '../grpc/download.ts';
import { ModelService, ResultService, RoundService } from '../grpc/services.ts';
import { openPartyFolder, type PartyFolder } from '../keys/party-folder.ts';
import { poolRows, type Region } from '../learning/datasets.ts';
import { loadTensorFlow } from '../learning/load-tensorflow.ts';
import { modelAuc } from '../learning/references.ts';
import { decodeSafetensors, modelFromTensors } from '../learning/safetensors.ts';
import { nodePrimitives as p } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';
import { epsilonOf } from '../training/budget.ts';
import { parseLearningPlan, specOf } from '../training/learning-plan.ts';
import type { DemoFederation } from './demo-federation.ts';
import { RECIPIENT } from './job-federation.ts';
import { type Kill, killPlan } from './kills.ts';
import { type DemoReport, progressOf, type RoundReport } from './report.ts';
import { phaseMs } from './watch.ts';

export interface RoundsRequest {
  readonly federation: DemoFederation;
  readonly nodes: readonly string[];
  readonly task: Task;
  readonly rounds: number;
  readonly kills: boolean;
  readonly regions: readonly Region[];
  readonly budgetEpsilon: number;
  readonly print: (line: string) => void;
  readonly onRound?: (report: RoundReport) => void;
}

const ROUND_MS = 120_000;

/** The recipient's own view: what it opened and published, fetched with its own keys. */
class RecipientView {
  readonly #folder: PartyFolder;
  readonly #recipient: Connection;
  readonly #coordinator: Connection;

  constructor(folder: PartyFolder) {
    this.#folder = folder;
    const { card, tls, federation } = folder;
    this.#recipient = new Connection({
      address: card.address,
      tls,
      expected: { pins: [card.tlsKeySha256], role: 'recipient' },
    });
    const { address, tlsKeySha256 } = federation.coordinator;
    this.#coordinator = new Connection({ address, tls, expected: { pins: [tlsKeySha256], role: 'coordinator' } });
  }

  async sum(round: Round): Promise<Int32Array> {
    const chunks: Uint8Array[] = [];
    const request = (offsetBytes: bigint) => ({ roundId: fromHex(round.id, 32), offsetBytes });
    await download([this.#recipient], ResultService.fetch, request, (chunk) => void chunks.push(chunk), {
      maxBytes: 2 ** 31,
    });
    return new Int32Array(new Uint8Array(Buffer.concat(chunks)).buffer);
  }

  async model(sealedHash: string, modelHash: string): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    const request = (offsetBytes: bigint) => ({ sealedHash: fromHex(sealedHash, 32), offsetBytes });
    await download([this.#coordinator], ModelService.get, request, (chunk) => void chunks.push(chunk), {
      maxBytes: 2 ** 31,
    });
    const { federation, card, kem } = this.#folder;
    const model = openModel(
      p,
      kem!,
      federation.genesisHash,
      card.name,
      new Uint8Array(Buffer.concat(chunks)),
      modelHash,
    );
    if (isRejection(model)) throw new Error(`the published model does not open: ${model.why}`);
    return model;
  }
}

/** Adds up what the cohort's nodes wrote into their private folders. Null when one of them did not. */
function plainSum(federation: DemoFederation, round: Round, cohort: readonly string[]): Int32Array | null {
  const sum = new Int32Array(round.record.parameters.dimension);
  for (const node of cohort) {
    const path = join(federation.local.path(node), 'check-sums', `${round.id}.i32`);
    if (!existsSync(path)) return null;
    const values = new Int32Array(new Uint8Array(readFileSync(path)).buffer);
    for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
  }
  return sum;
}

function cohortOf(round: Round): string[] {
  return (round.attempts.at(-1)?.cohort ?? []).map((upload) => upload.node);
}

async function openRound(request: RoundsRequest): Promise<string> {
  const { federation, task } = request;
  const bytes = canonicalBytes(task as unknown as Json);
  const opened = await federation.watch.officer.call(
    RoundService.open,
    { task: bytes, requestId: systemRng(16) },
    { deadlineMs: 90_000 },
  );
  return toHex(opened.roundId);
}

/** Runs all rounds, kills on the way, and reports what came of each. */
export async function runRounds(request: RoundsRequest): Promise<Pick<DemoReport, 'rounds' | 'events'>> {
  const { federation, task, print, nodes } = request;
  const { watch } = federation;
  const started = performance.now();
  const events: { ms: number; round: number; what: string }[] = [];
  const happened = (round: number, what: string): void => {
    events.push({ ms: Math.round(performance.now() - started), round, what });
    print(`      ${what}`);
  };
  const { tf } = await loadTensorFlow();
  const plan = parseLearningPlan(task);
  const spec = specOf(plan);
  const heldOut = poolRows(request.regions.map((region) => region.heldOut));
  const view = new RecipientView(await openPartyFolder(federation.local.path(RECIPIENT)));
  const kills = request.kills ? killPlan(nodes) : [];
  const evaluations = new Map<number, number>();
  const bytes = new Map<number, Record<string, number>>();
  federation.onEvent((name, event) => {
    if (event.event === 'uploaded' || event.event === 'confirmed') {
      const ofRound = bytes.get(Number(event['round'])) ?? {};
      ofRound[name] = (ofRound[name] ?? 0) + Number(event['bytes']);
      bytes.set(Number(event['round']), ofRound);
    }
    if (event.event === 'model made' && typeof event['auc'] === 'number')
      evaluations.set(Number(event['round']), Number(event['auc']));
  });
  const reports: RoundReport[] = [];
  const epsilonAt = (rhoNano: number): number => epsilonOf(rhoNano, 5, task.sampling?.order);
  for (let number = 1; number <= request.rounds; number++) {
    await watch.log.until((t) => t.models.length >= 1, AbortSignal.timeout(ROUND_MS));
    const cost = epsilonAt(watch.transcript.ledger.spentRhoNano + chargeOfTask(task));
    print(
      `Round ${number}/${request.rounds}: opening it will bring epsilon to ${cost.toFixed(2)} of ${request.budgetEpsilon}`,
    );
    const kill: Kill | undefined = kills.find((k) => k.round === number);
    const killing = kill
      ?.run(federation.processes.get(kill.victim)!, watch)
      .then(() => happened(number, `killed ${kill.victim}: ${kill.when}`));
    const id = await openRound(request);
    const round = await watch.log.until((t) => {
      const now = t.rounds.get(id);
      return now !== undefined && !isRunning(now) ? now : null;
    }, AbortSignal.timeout(ROUND_MS));
    await killing;
    const decide = round.phase === 'released' ? round.decision.hash : null;
    const model =
      decide === null
        ? null
        : await watch.log.until((t) => t.models.find((m) => m.decide === decide), AbortSignal.timeout(ROUND_MS));
    const auc =
      model === null
        ? null
        : modelAuc(
            tf,
            modelFromTensors(spec, decodeSafetensors(await view.model(model.sealedHash, model.modelHash))),
            heldOut,
          );
    const cohort = cohortOf(round);
    const expected = round.phase === 'released' ? plainSum(federation, round, cohort) : null;
    const opened = expected === null ? null : await view.sum(round);
    const times = watch.times.get(id)!;
    const report: RoundReport = {
      round: number,
      auc,
      aucOpened: evaluations.get(number) ?? null,
      epsilon: epsilonAt(watch.transcript.ledger.spentRhoNano),
      attempts: round.attempts.length,
      cohort,
      exactSum: opened?.every((value, i) => value === expected![i]) ?? false,
      bytes: bytes.get(number) ?? {},
      phaseMs: phaseMs(times),
      nodeMs: Object.fromEntries(
        nodes.map((node) => [
          node,
          {
            upload: times.uploads.has(node) ? Math.round(times.uploads.get(node)! - times.opened) : null,
            confirm:
              times.confirms.has(node) && times.closed !== null
                ? Math.round(times.confirms.get(node)! - times.closed)
                : null,
          },
        ]),
      ),
      outcome: round.phase,
      reason: round.phase === 'aborted' ? round.reason : null,
      uploads: round.uploads.size,
    };
    reports.push(report);
    request.onRound?.(report);
    print(`      ${progressOf(report, nodes.length)}`);
    if (kill !== undefined) {
      await federation.run(kill.victim);
      happened(number, `restarted ${kill.victim}`);
    }
  }
  return { rounds: reports, events };
}
