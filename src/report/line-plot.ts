import { parse, type Spec, View } from 'vega';

export interface LinePoint {
  readonly x: number;
  readonly y: number;
}

export interface PlottedLine {
  /** Written at the line's end, with `end`. */
  readonly label: string;
  readonly colour: string;
  readonly width: number;
  readonly dash: readonly number[];
  readonly points: readonly LinePoint[];
  /** The line that the picture is about: its label is bold, its points are dots. */
  readonly isMain?: boolean;
}

export interface Axis {
  readonly title: string;
  readonly low: number;
  readonly high: number;
  /** As d3-format has it. */
  readonly format: string;
  readonly tickCount?: number;
}

export interface LinePlot {
  readonly title: string;
  /** One line under the title: dataset, rows, epsilon and so on. */
  readonly subtitle: string;
  readonly x: Axis;
  readonly y: Axis;
  /** The last one lies on top. */
  readonly lines: readonly PlottedLine[];
  /** What stands after a label; left out: nothing. */
  readonly end?: (last: LinePoint) => string;
  /** Dots on every line, not only the main one. */
  readonly isDotted?: boolean;
  /** Marks under the lines, on scales x and y, and their data. */
  readonly under?: Pick<Spec, 'marks' | 'data'>;
}

export const PLOT = { width: 720, height: 400 } as const;
export const FONT = 'Helvetica, Arial, sans-serif';
export const INK = '#1b2733';
export const MUTED = '#5f6b76';
export const BLUE = '#0b5fbe';
/** Tol's muted palette without its blue: told apart by colour-blind readers, quieter than the main line. */
export const COLOURS = ['#cc6677', '#117733', '#aa7a1e', '#882255', '#44aa99', '#6f5aa8', '#999933', '#7a4b2a'];
const LABEL_GAP_PX = 17;
/** More points than this are a line, not dots. */
const DOTS_MAX = 40;

/**
 * Draws lines as SVG text, without a browser. Deterministic. Lines are labelled at their ends, so the picture needs no
 * legend and survives greyscale.
 */
export async function drawLines(plot: LinePlot): Promise<string> {
  const view = new View(parse(specOf(plot)), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

function specOf(plot: LinePlot): Spec {
  const { x, y, lines, under } = plot;
  const points = lines.flatMap((line, index) => line.points.map((point) => ({ ...point, index })));
  const quiet = { labelColor: MUTED, titleColor: MUTED, titleFontWeight: 'normal' } as const;
  return {
    $schema: 'https://vega.github.io/schema/vega/v6.json',
    background: 'white',
    padding: { left: 12, right: 12, top: 12, bottom: 12 },
    ...PLOT,
    config: { axis: { labelFont: FONT, titleFont: FONT }, title: { font: FONT, subtitleFont: FONT } },
    title: {
      ...{ text: plot.title, subtitle: plot.subtitle, anchor: 'start', frame: 'group', fontSize: 17, color: INK },
      ...{ subtitleFontSize: 12, subtitleColor: MUTED, offset: 16, subtitlePadding: 6 },
    },
    data: [
      { name: 'points', values: points },
      { name: 'labels', values: placeLabels(plot) },
      ...((under?.data as never[] | undefined) ?? []),
    ],
    scales: [
      { name: 'x', type: 'linear', domain: [x.low, x.high], range: 'width', zero: false },
      { name: 'y', type: 'linear', domain: [y.low, y.high], range: 'height', zero: false },
    ],
    axes: [
      {
        ...{ orient: 'left', scale: 'y', title: y.title, titlePadding: 12, maxExtent: 44, grid: true, ...quiet },
        ...{ gridColor: '#e6eaee', domain: false, ticks: false, format: y.format, labelPadding: 8 },
        tickCount: y.tickCount ?? 6,
      },
      {
        ...{ orient: 'bottom', scale: 'x', title: x.title, titlePadding: 8, format: x.format, ...quiet },
        ...{ domainColor: '#c3cbd3', tickColor: '#c3cbd3', tickCount: x.tickCount ?? 8 },
        ...(x.format === 'd' ? { tickMinStep: 1 } : {}),
      },
    ],
    marks: [...(under?.marks ?? []), ...lines.flatMap((line, index) => lineMarks(line, index, plot)), LABELS],
  };
}

const LABELS: NonNullable<Spec['marks']>[number] = {
  type: 'text',
  from: { data: 'labels' },
  encode: {
    enter: {
      x: { value: PLOT.width + 10 },
      y: { field: 'y' },
      text: { field: 'text' },
      fill: { field: 'colour' },
      font: { value: FONT },
      fontSize: { value: 12 },
      fontWeight: { field: 'weight' },
      baseline: { value: 'middle' },
    },
  },
};

function lineMarks(line: PlottedLine, index: number, { isDotted }: LinePlot): NonNullable<Spec['marks']> {
  const data = `line${index}`;
  const at = { x: { scale: 'x', field: 'x' }, y: { scale: 'y', field: 'y' } };
  const hasDots = (isDotted === true || line.isMain === true) && line.points.length <= DOTS_MAX;
  const dots: NonNullable<Spec['marks']> = [
    {
      type: 'symbol',
      from: { data },
      encode: {
        enter: {
          ...{ ...at, size: { value: 42 }, fill: { value: line.colour } },
          ...{ stroke: { value: 'white' }, strokeWidth: { value: 1.5 } },
        },
      },
    },
  ];
  return [
    {
      type: 'group',
      data: [{ name: data, source: 'points', transform: [{ type: 'filter', expr: `datum.index === ${index}` }] }],
      marks: [
        {
          type: 'line',
          from: { data },
          encode: {
            enter: {
              ...{ ...at, stroke: { value: line.colour }, strokeWidth: { value: line.width } },
              ...{
                strokeDash: { value: [...line.dash] },
                strokeJoin: { value: 'round' },
                strokeCap: { value: 'round' },
              },
            },
          },
        },
        ...(hasDots ? dots : []),
      ],
    },
  ];
}

/** Labels at the lines' ends, pushed apart until none covers another. */
function placeLabels({ lines, y, end }: LinePlot) {
  const labels = lines.map((line) => {
    const last = line.points.at(-1)!;
    return {
      y: PLOT.height * (1 - (last.y - y.low) / (y.high - y.low)),
      text: end === undefined ? line.label : `${line.label}  ${end(last)}`,
      colour: line.colour,
      weight: line.isMain === true ? 'bold' : 'normal',
    };
  });
  labels.sort((a, b) => a.y - b.y);
  // Downwards first; whatever then hangs below the frame pushes back upwards.
  for (let i = 1; i < labels.length; i++) labels[i]!.y = Math.max(labels[i]!.y, labels[i - 1]!.y + LABEL_GAP_PX);
  for (let i = labels.length - 1, floor: number = PLOT.height; i >= 0; i--, floor -= LABEL_GAP_PX) {
    labels[i]!.y = Math.min(labels[i]!.y, floor);
  }
  return labels;
}
