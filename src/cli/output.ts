import { inert } from '../platform/inert-text.ts';

/** Prints one line on standard output. JSON events and errors go to standard error. */
export function print(line = ''): void {
  process.stdout.write(`${inert(line)}\n`);
}

/** Columns padded to their widest cell; numbers to the right. */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const isNumeric = header.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));
  const text = [header, ...rows].map((row) => row.map(String));
  const widths = header.map((_, column) => Math.max(...text.map((row) => row[column]!.length)));
  const pad = (cell: string, column: number): string =>
    isNumeric[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!);
  return text.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

/** 1,234,567 */
export function grouped(value: number | bigint): string {
  return value.toLocaleString('en-US');
}

/** `1 row`, `1,234 rows`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${grouped(value)} ${value === 1 ? one : many}`;
}

/** Bytes in decimal units: what disks and networks are sold in. */
export function sizeOf(bytes: number): string {
  for (const [unit, step] of [
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ] as const) {
    if (bytes >= step) return `${(bytes / step).toFixed(1)} ${unit}`;
  }
  return `${bytes} B`;
}

/** Epsilon as people compare it: rounded up, so that it is never said to be smaller than it is. */
export function epsilonText(epsilon: number): string {
  return (Math.ceil(epsilon * 1e4 - 1e-9) / 1e4).toString();
}

/** A peer's text may end in a terminal: printable ASCII in one line. */
export function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 300);
}
