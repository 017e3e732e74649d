import type { Spec } from 'vega';
import { BLUE, COLOURS, drawLines, FONT, INK, type LinePlot, MUTED, PLOT, type PlottedLine } from './line-plot.ts';

/** AUC after a round of training. Round 0, the untrained model, is not drawn. */
export interface PlotPoint {
  readonly round: number;
  readonly auc: number;
}

/** What the picture shows; plain numbers, as in report.json. */
export interface ConvergencePlot {
  readonly title: string;
  /** One line under the title: dataset, rows, epsilon and so on. */
  readonly subtitle: string;
  /** The federated model, exactly evaluated. */
  readonly global: readonly PlotPoint[];
  /** Trained on all rows in one place. */
  readonly central: readonly PlotPoint[];
  /** Trained on one region's rows alone, evaluated on everybody's. */
  readonly regionOnly: readonly { readonly region: string; readonly points: readonly PlotPoint[] }[];
  /** The federated model as the recipient sees it, from noised counts; `noise` is one standard deviation. */
  readonly opened?: readonly (PlotPoint & { readonly noise: number })[];
}

/** Draws AUC per round as SVG text: the global model against region-only models and a central one. Deterministic. */
export async function drawConvergence(plot: ConvergencePlot): Promise<string> {
  const lines = linesOf(plot);
  const opened = (plot.opened ?? []).filter((point) => point.round > 0);
  const aucs = [...lines.flatMap(({ points }) => points.map(({ y }) => y)), ...opened.map(({ auc }) => auc)];
  const y = aucAxis(aucs, "AUC on all regions' held-out rows");
  const rounds = Math.max(1, ...lines.flatMap(({ points }) => points.map(({ x }) => x)));
  return drawLines({
    ...{ title: plot.title, subtitle: plot.subtitle, x: roundAxis(rounds), y, lines },
    end: (last) => last.y.toFixed(3),
    ...(opened.length === 0 ? {} : { under: openedMarks(opened, y) }),
  });
}

export function roundAxis(rounds: number): LinePlot['x'] {
  const tickCount = Math.min(12, Math.max(1, rounds - 1));
  return { title: 'round', low: 1, high: Math.max(2, rounds), format: 'd', tickCount };
}

/** From a little below the least to a little above the greatest, in steps of 0.05. */
export function aucAxis(aucs: readonly number[], title: string): LinePlot['y'] {
  const low = Math.max(0, Math.floor(Math.min(...aucs, 0.95) * 20 - 0.2) / 20);
  const high = Math.min(1, Math.ceil(Math.max(...aucs, low + 0.1) * 20 + 0.2) / 20);
  return { title, low, high, format: '.2f' };
}

/** Drawn in this order, so the global line lies on top. */
function linesOf(plot: ConvergencePlot): PlottedLine[] {
  const trained = (points: readonly PlotPoint[]) =>
    points.filter(({ round }) => round > 0).map(({ round, auc }) => ({ x: round, y: auc }));
  const regions = plot.regionOnly.map(({ region, points }, i) => ({
    ...{ label: `${region} only`, colour: COLOURS[i % COLOURS.length]!, width: 1.6, dash: [] },
    points: trained(points),
  }));
  const central = { label: 'centralised', colour: INK, width: 1.8, dash: [6, 4], points: trained(plot.central) };
  const global = {
    ...{ label: 'global (federated)', colour: BLUE, width: 3.4, dash: [], isMain: true },
    points: trained(plot.global),
  };
  return [...regions, central, global].filter(({ points }) => points.length > 0);
}

/** Dots and bars of one standard deviation for what the recipient sees, with one line saying so. */
function openedMarks(
  opened: NonNullable<ConvergencePlot['opened']>,
  { low, high }: LinePlot['y'],
): Pick<Spec, 'marks' | 'data'> {
  const values = opened.map(({ round, auc, noise }) => ({
    ...{ round, auc, from: Math.max(low, auc - noise), to: Math.min(high, auc + noise) },
  }));
  const soft = { value: '#6fa3e0' };
  const x = { scale: 'x', field: 'round' };
  const y = (field: string) => ({ scale: 'y', field });
  return {
    data: [{ name: 'opened', values }],
    marks: [
      {
        type: 'rule',
        from: { data: 'opened' },
        encode: { enter: { x, y: y('from'), y2: y('to'), stroke: soft, strokeWidth: { value: 1.5 } } },
      },
      {
        type: 'symbol',
        from: { data: 'opened' },
        encode: {
          enter: {
            ...{ x, y: y('auc'), size: { value: 26 }, fill: { value: 'white' } },
            ...{ stroke: soft, strokeWidth: { value: 1.5 } },
          },
        },
      },
      {
        type: 'text',
        encode: {
          enter: {
            ...{ x: { value: PLOT.width }, y: { value: PLOT.height - 10 }, align: { value: 'right' } },
            ...{ font: { value: FONT }, fontSize: { value: 11 }, fill: { value: MUTED } },
            text: {
              value:
                'open dots: the global model as the recipient sees it, from noised counts (± one standard deviation)',
            },
          },
        },
      },
    ],
  };
}
