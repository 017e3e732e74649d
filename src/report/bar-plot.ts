import { parse, type Spec, View } from 'vega';

/** A part of a row's bar. Parts lie one after the other. */
export interface PlottedPart {
  readonly at: string;
  readonly kind: string;
  readonly value: number;
}

export interface BarPlot {
  readonly title: string;
  readonly subtitle: string;
  /** Under the axis, for example "rounds". */
  readonly axis: string;
  /** In the order in which they are drawn, with their colours. */
  readonly kinds: readonly { readonly kind: string; readonly colour: string }[];
  readonly parts: readonly PlottedPart[];
}

const WIDTH = 560;
const ROW_PX = 26;
const INK = '#1b2733';
const MUTED = '#5f6b76';
const FONT = 'Helvetica, Arial, sans-serif';

/** Stacked bars, one row each, as SVG text, without a browser. Deterministic. */
export async function drawBars(plot: BarPlot): Promise<string> {
  const view = new View(parse(specOf(plot)), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

function specOf({ title, subtitle, axis, kinds, parts }: BarPlot): Spec {
  const rows = [...new Set(parts.map(({ at }) => at))];
  const order = new Map(kinds.map(({ kind }, place) => [kind, place]));
  const values = parts
    .filter(({ value }) => value > 0)
    .toSorted((a, b) => order.get(a.kind)! - order.get(b.kind)!)
    .map((part) => ({ ...part }));
  const fonts = { labelFont: FONT, titleFont: FONT };
  return {
    $schema: 'https://vega.github.io/schema/vega/v6.json',
    background: 'white',
    padding: { left: 12, right: 12, top: 12, bottom: 12 },
    width: WIDTH,
    height: ROW_PX * Math.max(1, rows.length),
    autosize: { type: 'pad' },
    title: {
      ...{ text: title, subtitle, anchor: 'start', frame: 'group', font: FONT, subtitleFont: FONT, fontSize: 15 },
      ...{ color: INK, subtitleColor: MUTED, subtitleFontSize: 12, offset: 12 },
    },
    data: [
      {
        name: 'parts',
        values,
        transform: [{ type: 'stack', groupby: ['at'], field: 'value', as: ['from', 'to'] }],
      },
    ],
    scales: [
      { name: 'x', type: 'linear', domain: { data: 'parts', field: 'to' }, range: 'width', zero: true, nice: true },
      { name: 'y', type: 'band', domain: rows, range: 'height', padding: 0.25 },
      {
        name: 'colour',
        type: 'ordinal',
        domain: kinds.map(({ kind }) => kind),
        range: kinds.map(({ colour }) => colour),
      },
    ],
    legends: [
      {
        fill: 'colour',
        orient: 'bottom',
        columns: 3,
        labelFont: FONT,
        labelColor: INK,
        labelLimit: 260,
        symbolType: 'square',
      },
    ],
    axes: [
      {
        ...{
          orient: 'bottom',
          scale: 'x',
          title: axis,
          grid: true,
          gridColor: '#e6eaee',
          tickCount: 6,
          tickMinStep: 1,
        },
        ...{ ...fonts, labelColor: MUTED, titleColor: MUTED, titleFontWeight: 'normal' },
      },
      {
        ...{ orient: 'left', scale: 'y', domain: false, ticks: false, labelPadding: 8, labelLimit: 260 },
        ...{ ...fonts, labelColor: INK, labelFontSize: 12 },
      },
    ],
    marks: [
      {
        type: 'rect',
        from: { data: 'parts' },
        encode: {
          enter: {
            x: { scale: 'x', field: 'from' },
            x2: { scale: 'x', field: 'to' },
            y: { scale: 'y', field: 'at' },
            height: { scale: 'y', band: 1 },
            fill: { scale: 'colour', field: 'kind' },
          },
        },
      },
    ],
  } as Spec;
}
