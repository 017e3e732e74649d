import { element } from '../../page/elements.ts';

/** `87 %`; never 0 or 100, which no model knows. */
export function percent(probability: number): string {
  return `${Math.min(99, Math.max(1, Math.round(100 * probability)))}\u00a0%`;
}

/** `+0.80`, with a true minus. */
export function signed(value: number): string {
  const digits = Math.abs(value).toFixed(2);
  return `${value < 0 ? '\u2212' : '+'}${digits}`;
}

export function count(value: number, one: string, many: string): string {
  return `${value.toLocaleString('en')} ${value === 1 ? one : many}`;
}

/** A bar from 0 to 1. What it shows stands beside it in words. */
export function bar(share: number): HTMLElement {
  const fill = element('i', {});
  fill.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return element('span', { class: 'bar', 'aria-hidden': 'true' }, fill);
}
