import { parse, type Spec, View } from 'vega';
import { BLUE, FONT, INK, MUTED } from './line-plot.ts';

/** A measured value with its interval, in one row (`at`) of the picture. */
export interface PlottedInterval {
  readonly at: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface IntervalPlot {
  readonly title: string;
  readonly subtitle: string;
  /** Under the axis, for example "AUC". */
  readonly axis: string;
  readonly intervals: readonly PlottedInterval[];
  /** Vertical lines that values are compared with. */
  readonly marks: readonly { readonly label: string; readonly value: number }[];
}

const WIDTH = 560;
const ROW_PX = 34;

/** Dots with 95 % intervals, one row each, as SVG text, without a browser. Deterministic. */
export async function drawIntervals(plot: IntervalPlot): Promise<string> {
  const values = [...plot.intervals.flatMap(({ low, high }) => [low, high]), ...plot.marks.map(({ value }) => value)];
  const spread = Math.max(0.01, Math.max(...values) - Math.min(...values));
  const domain = [Math.min(...values) - spread * 0.08, Math.max(...values) + spread * 0.08];
  const view = new View(parse(specOf(plot, domain)), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

function specOf({ title, subtitle, axis, intervals, marks }: IntervalPlot, domain: readonly number[]): Spec {
  const height = ROW_PX * intervals.length;
  const middle = { scale: 'y', field: 'at', band: 0.5 };
  const x = (field: string) => ({ scale: 'x', field });
  return {
    $schema: 'https://vega.github.io/schema/vega/v6.json',
    background: 'white',
    padding: { left: 12, right: 12, top: 12, bottom: 12 },
    width: WIDTH,
    height,
    autosize: { type: 'pad' },
    title: {
      ...{ text: title, subtitle, anchor: 'start', frame: 'group', font: FONT, subtitleFont: FONT, fontSize: 15 },
      ...{ color: INK, subtitleColor: MUTED, subtitleFontSize: 12, offset: marks.length > 0 ? 30 : 12 },
    },
    data: [
      { name: 'intervals', values: [...intervals] },
      { name: 'marks', values: [...marks] },
    ],
    scales: [
      { name: 'x', type: 'linear', domain: [...domain], range: 'width', zero: false },
      { name: 'y', type: 'band', domain: intervals.map(({ at }) => at), range: 'height' },
    ],
    axes: [
      {
        ...{ orient: 'bottom', scale: 'x', title: axis, grid: true, gridColor: '#e6eaee', tickCount: 6 },
        ...{ labelFont: FONT, titleFont: FONT, labelColor: MUTED, titleColor: MUTED, titleFontWeight: 'normal' },
      },
      {
        ...{
          orient: 'left',
          scale: 'y',
          domain: false,
          ticks: false,
          labelFont: FONT,
          labelColor: INK,
          labelFontSize: 12,
        },
        labelPadding: 8,
        // Without a canvas vega takes a letter for 0.8 em, twice what it has.
        labelLimit: 480,
      },
    ],
    marks: [
      {
        type: 'rule',
        from: { data: 'marks' },
        encode: {
          enter: {
            ...{ x: x('value'), y: { value: 0 }, y2: { value: height } },
            ...{ stroke: { value: MUTED }, strokeDash: { value: [5, 4] } },
          },
        },
      },
      {
        type: 'text',
        from: { data: 'marks' },
        encode: {
          enter: {
            ...{ x: x('value'), y: { value: -6 }, text: { field: 'label' }, align: { value: 'center' } },
            ...{ font: { value: FONT }, fontSize: { value: 11 }, fill: { value: MUTED } },
          },
        },
      },
      {
        type: 'rule',
        from: { data: 'intervals' },
        encode: {
          enter: { x: x('low'), x2: x('high'), y: middle, stroke: { value: BLUE }, strokeWidth: { value: 2 } },
        },
      },
      {
        type: 'symbol',
        from: { data: 'intervals' },
        encode: { enter: { x: x('value'), y: middle, fill: { value: BLUE }, size: { value: 70 } } },
      },
    ],
  } as Spec;
}
