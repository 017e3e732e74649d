import { element } from '../../page/elements.ts';

/** `87\u00a0%`; one more digit near the ends, and never 0 or 100, which no model knows. */
export function percent(probability: number): string {
  const value = 100 * Math.min(0.999, Math.max(0.001, probability));
  const isNearEnd = value < 5 || value > 95;
  return `${isNearEnd ? value.toFixed(1) : Math.round(value)}\u00a0%`;
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
