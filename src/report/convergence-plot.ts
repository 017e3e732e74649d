import { parse, type Spec, View } from 'vega';

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

const WIDTH = 720;
const HEIGHT = 400;
const INK = '#1b2733';
const MUTED = '#5f6b76';
const GLOBAL = '#0b5fbe';
/** Tol's muted palette without its blue: told apart by colour-blind readers, quieter than the global line. */
const REGION_COLOURS = ['#cc6677', '#117733', '#aa7a1e', '#882255', '#44aa99', '#6f5aa8', '#999933', '#7a4b2a'];
const LABEL_GAP_PX = 17;

interface Line {
  readonly label: string;
  readonly colour: string;
  readonly width: number;
  readonly dash: readonly number[];
  readonly points: readonly PlotPoint[];
}

/**
 * Draws AUC per round as SVG text, without a browser: the global model against region-only models and a central one.
 * Deterministic. Lines are labelled at their ends, so the picture needs no legend and survives greyscale.
 */
export async function drawConvergence(plot: ConvergencePlot): Promise<string> {
  const lines = linesOf(plot);
  const opened = (plot.opened ?? []).filter((point) => point.round > 0);
  const values = [...lines.flatMap((line) => line.points), ...opened].map((point) => point.auc);
  const low = Math.max(0, Math.floor(Math.min(...values, 0.95) * 20 - 0.2) / 20);
  const high = Math.min(1, Math.ceil(Math.max(...values, low + 0.1) * 20 + 0.2) / 20);
  const rounds = Math.max(1, ...lines.flatMap((line) => line.points.map((point) => point.round)));
  const view = new View(parse(specOf(plot, lines, opened, { low, high, rounds })), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

/** Drawn in this order, so the global line lies on top. */
function linesOf(plot: ConvergencePlot): Line[] {
  const trained = (points: readonly PlotPoint[]): PlotPoint[] => points.filter((point) => point.round > 0);
  const regions = plot.regionOnly.map(({ region, points }, i) => ({
    label: `${region} only`,
    colour: REGION_COLOURS[i % REGION_COLOURS.length]!,
    width: 1.6,
    dash: [],
    points: trained(points),
  }));
  const central = { label: 'centralised', colour: INK, width: 1.8, dash: [6, 4], points: trained(plot.central) };
  const global = { label: 'global (federated)', colour: GLOBAL, width: 3.4, dash: [], points: trained(plot.global) };
  return [...regions, central, global].filter((line) => line.points.length > 0);
}

interface Extent {
  readonly low: number;
  readonly high: number;
  readonly rounds: number;
}

function specOf(
  plot: ConvergencePlot,
  lines: Line[],
  opened: NonNullable<ConvergencePlot['opened']>,
  extent: Extent,
): Spec {
  const pointsOf = lines.flatMap((line, index) => line.points.map((point) => ({ ...point, index })));
  const bars = opened.map(({ round, auc, noise }) => ({
    round,
    auc,
    from: Math.max(extent.low, auc - noise),
    to: Math.min(extent.high, auc + noise),
  }));
  return {
    $schema: 'https://vega.github.io/schema/vega/v6.json',
    background: 'white',
    padding: { left: 12, right: 12, top: 12, bottom: 12 },
    width: WIDTH,
    height: HEIGHT,
    config: { axis: { labelFont: FONT, titleFont: FONT }, title: { font: FONT, subtitleFont: FONT } },
    title: {
      text: plot.title,
      subtitle: plot.subtitle,
      anchor: 'start',
      frame: 'group',
      fontSize: 17,
      color: INK,
      subtitleFontSize: 12,
      subtitleColor: MUTED,
      offset: 16,
      subtitlePadding: 6,
    },
    data: [
      { name: 'points', values: pointsOf },
      { name: 'opened', values: bars },
      { name: 'labels', values: placeLabels(lines, extent) },
    ],
    scales: [
      { name: 'x', type: 'linear', domain: [1, Math.max(2, extent.rounds)], range: 'width', zero: false },
      { name: 'y', type: 'linear', domain: [extent.low, extent.high], range: 'height', zero: false },
    ],
    axes: [
      {
        orient: 'left',
        scale: 'y',
        title: "AUC on all regions' held-out rows",
        titlePadding: 12,
        maxExtent: 44,
        grid: true,
        gridColor: '#e6eaee',
        domain: false,
        ticks: false,
        format: '.2f',
        tickCount: 6,
        labelColor: MUTED,
        titleColor: MUTED,
        titleFontWeight: 'normal',
        labelPadding: 8,
      },
      {
        orient: 'bottom',
        scale: 'x',
        title: 'round',
        titlePadding: 8,
        format: 'd',
        tickCount: Math.min(12, Math.max(1, extent.rounds - 1)),
        tickMinStep: 1,
        domainColor: '#c3cbd3',
        tickColor: '#c3cbd3',
        labelColor: MUTED,
        titleColor: MUTED,
        titleFontWeight: 'normal',
      },
    ],
    marks: [
      ...openedMarks(bars.length > 0),
      ...lines.map((line, index) => lineMark(line, index)),
      {
        type: 'symbol',
        from: { data: 'points' },
        encode: {
          enter: {
            x: { scale: 'x', field: 'round' },
            y: { scale: 'y', field: 'auc' },
            size: { value: 42 },
            fill: { value: GLOBAL },
            stroke: { value: 'white' },
            strokeWidth: { value: 1.5 },
            opacity: { signal: `datum.index === ${lines.length - 1} && ${extent.rounds <= 40} ? 1 : 0` },
          },
        },
      },
      {
        type: 'text',
        from: { data: 'labels' },
        encode: {
          enter: {
            x: { value: WIDTH + 10 },
            y: { field: 'y' },
            text: { field: 'text' },
            fill: { field: 'colour' },
            font: { value: FONT },
            fontSize: { value: 12 },
            fontWeight: { field: 'weight' },
            baseline: { value: 'middle' },
          },
        },
      },
    ],
  };
}

const FONT = 'Helvetica, Arial, sans-serif';

function lineMark(line: Line, index: number): NonNullable<Spec['marks']>[number] {
  return {
    type: 'group',
    data: [
      { name: `line${index}`, source: 'points', transform: [{ type: 'filter', expr: `datum.index === ${index}` }] },
    ],
    marks: [
      {
        type: 'line',
        from: { data: `line${index}` },
        encode: {
          enter: {
            x: { scale: 'x', field: 'round' },
            y: { scale: 'y', field: 'auc' },
            stroke: { value: line.colour },
            strokeWidth: { value: line.width },
            strokeDash: { value: [...line.dash] },
            strokeJoin: { value: 'round' },
            strokeCap: { value: 'round' },
          },
        },
      },
    ],
  };
}

/** Dots and bars of one standard deviation for what the recipient sees, with one line saying so. */
function openedMarks(isPresent: boolean): NonNullable<Spec['marks']> {
  if (!isPresent) return [];
  const soft = { value: '#6fa3e0' };
  return [
    {
      type: 'rule',
      from: { data: 'opened' },
      encode: {
        enter: {
          x: { scale: 'x', field: 'round' },
          y: { scale: 'y', field: 'from' },
          y2: { scale: 'y', field: 'to' },
          stroke: soft,
          strokeWidth: { value: 1.5 },
        },
      },
    },
    {
      type: 'symbol',
      from: { data: 'opened' },
      encode: {
        enter: {
          x: { scale: 'x', field: 'round' },
          y: { scale: 'y', field: 'auc' },
          size: { value: 26 },
          fill: { value: 'white' },
          stroke: soft,
          strokeWidth: { value: 1.5 },
        },
      },
    },
    {
      type: 'text',
      encode: {
        enter: {
          x: { value: WIDTH },
          y: { value: HEIGHT - 10 },
          align: { value: 'right' },
          font: { value: FONT },
          fontSize: { value: 11 },
          fill: { value: MUTED },
          text: {
            value:
              'open dots: the global model as the recipient sees it, from noised counts (± one standard deviation)',
          },
        },
      },
    },
  ];
}

/** Labels at the lines' ends, pushed apart until none covers another. */
function placeLabels(lines: readonly Line[], { low, high }: Extent) {
  const labels = lines.map((line) => {
    const last = line.points.at(-1)!;
    return {
      y: HEIGHT * (1 - (last.auc - low) / (high - low)),
      text: `${line.label}  ${last.auc.toFixed(3)}`,
      colour: line.colour,
      weight: line.colour === GLOBAL ? 'bold' : 'normal',
    };
  });
  labels.sort((a, b) => a.y - b.y);
  // Downwards first; whatever then hangs below the frame pushes back upwards.
  for (let i = 1; i < labels.length; i++) labels[i]!.y = Math.max(labels[i]!.y, labels[i - 1]!.y + LABEL_GAP_PX);
  for (let i = labels.length - 1, floor = HEIGHT; i >= 0; i--, floor -= LABEL_GAP_PX) {
    labels[i]!.y = Math.min(labels[i]!.y, floor);
  }
  return labels;
}
