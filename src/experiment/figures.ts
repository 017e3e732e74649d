import { aucAxis, drawConvergence, roundAxis } from '../report/convergence-plot.ts';
import { drawIntervals } from '../report/interval-plot.ts';
import { BLUE, COLOURS, drawLines, INK, MUTED, type PlottedLine } from '../report/line-plot.ts';
import type { Comparison } from './compare.ts';
import type { Block } from './document.ts';
import type { Findings } from './findings.ts';
import type { CalibrationGroup } from './measures.ts';
import { epsilonName, MODEL, mean } from './words.ts';

type Figure = Extract<Block, { kind: 'figure' }>;
export type FigureName =
  | 'privacy'
  | 'budget'
  | 'calibration'
  | 'convergence'
  | 'regions'
  | 'region-rounds'
  | 'processes';

/** Fewer rounds than this are no line of anything. */
const ROUNDS_MIN = 2;

const byRound = (values: readonly number[], from = 1) => values.map((y, i) => ({ x: i + from, y }));
const colour = (i: number): string => COLOURS[i % COLOURS.length]!;
const thin = { width: 1.6, dash: [] } as const;
const main = { colour: BLUE, width: 3.4, dash: [], isMain: true } as const;

/** The run that the other figures are about: the strongest privacy that was asked for. */
export function strongestOf({ comparisons }: Findings): Comparison {
  const strength = ({ run: { epsilon } }: Comparison): number => (epsilon === 'none' ? Infinity : epsilon);
  return comparisons.reduce((a, b) => (strength(b) < strength(a) ? b : a));
}

/** Every figure of one kind of model on one dataset; those that there is nothing to show in are left out. */
export async function figuresOf(findings: Findings): Promise<ReadonlyMap<FigureName, Figure>> {
  const { dataset, kind } = findings;
  const figures = new Map<FigureName, Figure>();
  const add = (name: FigureName, alt: string, svg: string | null): void => {
    if (svg !== null) figures.set(name, { kind: 'figure', file: `${dataset}-${kind}-${name}.svg`, alt, svg });
  };
  add('privacy', `AUC of ${dataset} against epsilon`, await privacyFigure(findings));
  add('budget', `epsilon spent by round, ${dataset}`, await budgetFigure(findings));
  add('calibration', `calibration of the models of ${dataset}`, await calibrationFigure(findings));
  add('convergence', `AUC of ${dataset} by round`, await convergenceFigure(findings));
  add('regions', `gain of each region of ${dataset}`, await gainFigure(findings));
  add('region-rounds', `AUC of each region of ${dataset} by round`, await regionRoundsFigure(findings));
  add('processes', `AUC of ${dataset} by round, in one process and over processes`, await processesFigure(findings));
  return figures;
}

function privacyFigure({ dataset, kind, baseline, comparisons }: Findings): Promise<string> {
  const alone = mean(baseline.regionOnly.map(({ auc }) => auc));
  const central = baseline.central.auc.value;
  return drawIntervals({
    title: `${dataset}: accuracy against privacy, ${MODEL[kind]}`,
    subtitle: "95 % intervals by resampling all regions' held-out rows",
    axis: 'AUC',
    intervals: comparisons.map(({ run, measures }) => ({ at: epsilonName(run.epsilon), ...measures.auc })),
    marks: [
      { label: `region only ${alone.toFixed(3)}`, value: alone },
      { label: `centralised ${central.toFixed(3)}`, value: central },
    ],
  });
}

async function budgetFigure({ dataset, kind, comparisons }: Findings): Promise<string | null> {
  const lines = comparisons.flatMap(({ run }, i): PlottedLine[] =>
    run.spentPerRound === null
      ? []
      : [
          {
            label: `budget: epsilon ${run.epsilon}`,
            colour: colour(i),
            ...thin,
            width: 2.2,
            points: byRound(run.spentPerRound),
          },
        ],
  );
  if (lines.length === 0 || lines[0]!.points.length < ROUNDS_MIN) return null;
  const high = Math.max(...lines.flatMap(({ points }) => points.map(({ y }) => y)));
  return drawLines({
    title: `${dataset}: what the rounds have spent, ${MODEL[kind]}`,
    subtitle:
      'record-level epsilon at delta 1e-5 of all rounds so far, as the ledger counts: the first rounds cost most',
    x: roundAxis(lines[0]!.points.length),
    y: { title: 'epsilon spent', low: 0, high: high * 1.05, format: '~g' },
    lines,
  });
}

function calibrationFigure(findings: Findings): Promise<string> {
  const { dataset, kind, baseline, comparisons } = findings;
  const strongest = strongestOf(findings);
  const weakest = comparisons.find(({ run }) => run.epsilon === 'none') ?? comparisons[0]!;
  const points = (groups: readonly CalibrationGroup[]) => groups.map(({ predicted: x, observed: y }) => ({ x, y }));
  const { central } = baseline;
  const weak = {
    ...{ label: epsilonName(weakest.run.epsilon), colour: colour(1), ...thin, width: 2.2 },
    points: points(weakest.measures.groups),
  };
  const lines: PlottedLine[] = [
    { label: 'centralised', colour: INK, width: 1.8, dash: [6, 4], points: points(central.groups) },
    ...(weakest === strongest ? [] : [weak]),
    { label: epsilonName(strongest.run.epsilon), ...main, points: points(strongest.measures.groups) },
  ];
  const most = Math.max(...lines.flatMap((line) => line.points.flatMap(({ x, y }) => [x, y])));
  const high = Math.min(1, Math.ceil(most * 10 + 0.2) / 10);
  const exact = { label: 'exact', colour: MUTED, width: 1, dash: [2, 3], points: [0, high].map((x) => ({ x, y: x })) };
  return drawLines({
    title: `${dataset}: calibration, ${MODEL[kind]}`,
    subtitle: "all regions' held-out rows in ten groups by score: what the model says, and how often it is so",
    x: { title: 'mean probability that the model says', low: 0, high, format: '.0%' },
    y: { title: 'rows that are positive', low: 0, high, format: '.0%' },
    lines: [exact, ...lines],
    isDotted: true,
  });
}

function convergenceFigure(findings: Findings): Promise<string> {
  const { dataset, kind, curves } = findings;
  const { run } = strongestOf(findings);
  const points = (aucs: readonly number[], from: number) => aucs.map((auc, i) => ({ round: i + from, auc }));
  return drawConvergence({
    title: `${dataset}: AUC by round, ${MODEL[kind]}`,
    subtitle: `federated at ${epsilonName(run.epsilon)}, record level, delta 1e-5`,
    global: points(run.aucPerRound, 1),
    central: points(curves.central, 0),
    regionOnly: curves.regionOnly.map(({ region, aucPerRound }) => ({ region, points: points(aucPerRound, 0) })),
  });
}

function gainFigure(findings: Findings): Promise<string> {
  const { dataset, kind } = findings;
  const { run, regions } = strongestOf(findings);
  return drawIntervals({
    title: `${dataset}: what each region gains, ${MODEL[kind]}`,
    subtitle: `AUC on the region's own held-out rows: common model (${epsilonName(run.epsilon)}) less its own model`,
    axis: 'gain in AUC',
    intervals: regions.map(({ region, gain }) => ({ at: region, ...gain })),
    marks: [{ label: 'no difference', value: 0 }],
  });
}

async function regionRoundsFigure(findings: Findings): Promise<string | null> {
  const { dataset, kind } = findings;
  const { run } = strongestOf(findings);
  if (run.regionAucs.length === 0) return null;
  return drawLines({
    title: `${dataset}: the common model in each region, ${MODEL[kind]}`,
    subtitle: `AUC on the region's own held-out rows, at ${epsilonName(run.epsilon)}`,
    x: roundAxis(run.rounds),
    y: aucAxis(
      run.regionAucs.flatMap(({ aucPerRound }) => aucPerRound),
      'AUC in the region',
    ),
    lines: run.regionAucs.map(({ region, aucPerRound }, i) => ({
      ...{ label: region, colour: colour(i), ...thin, width: 2.2, points: byRound(aucPerRound) },
    })),
    end: ({ y }) => y.toFixed(3),
  });
}

async function processesFigure({ dataset, kind, processes, comparisons }: Findings): Promise<string | null> {
  if (processes === undefined || processes.rounds < ROUNDS_MIN) return null;
  const { run } = comparisons.find((comparison) => comparison.run.epsilon === processes.epsilon)!;
  const inOne = run.aucPerRound.slice(0, processes.rounds);
  return drawLines({
    title: `${dataset}: every party a process, ${MODEL[kind]}`,
    subtitle: `AUC by round at ${epsilonName(processes.epsilon)}; the same job twice, each with noise of its own`,
    x: roundAxis(processes.rounds),
    y: aucAxis([...inOne, ...processes.aucPerRound], "AUC on all regions' held-out rows"),
    lines: [
      { label: 'in one process', colour: INK, width: 1.8, dash: [6, 4], points: byRound(inOne) },
      { label: `${processes.processes} processes`, ...main, points: byRound(processes.aucPerRound) },
    ],
    end: ({ y }) => y.toFixed(3),
  });
}
