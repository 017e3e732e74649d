/** A report as blocks, so that it is written once and rendered twice. */
export type Block =
  | { readonly kind: 'heading'; readonly level: 1 | 2 | 3; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly string[] }
  | { readonly kind: 'table'; readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] }
  | { readonly kind: 'figure'; readonly file: string; readonly alt: string; readonly svg: string };

/** Markdown that shows figures from files beside it. */
export function toMarkdown(blocks: readonly Block[]): string {
  return `${blocks.map(markdownOf).join('\n\n')}\n`;
}

function markdownOf(block: Block): string {
  switch (block.kind) {
    case 'heading':
      return `${'#'.repeat(block.level)} ${block.text}`;
    case 'text':
      return block.text;
    case 'list':
      return block.items.map((item) => `- ${item}`).join('\n');
    case 'table': {
      const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
      return [line(block.head), line(block.head.map(() => '---')), ...block.rows.map(line)].join('\n');
    }
    case 'figure':
      return `![${block.alt}](${block.file})`;
    default:
      return block satisfies never;
  }
}

const STYLE = `
body { font: 16px/1.5 Helvetica, Arial, sans-serif; color: #1b2733; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.8rem; } h2 { margin-top: 3rem; border-top: 1px solid #c3cbd3; padding-top: 1.5rem; } h3 { margin-top: 2rem; }
.scroll { overflow-x: auto; margin: 1.2rem 0; } table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #e6eaee; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: #5f6b76; font-weight: normal; }
figure { margin: 1.5rem 0; } svg { max-width: 100%; height: auto; }
@media print { h2 { break-before: page; } figure, table { break-inside: avoid; } }
`;

/** One page that needs nothing else: no script, no address. */
export function toHtml(title: string, blocks: readonly Block[]): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><main>
${blocks.map(htmlOf).join('\n')}
</main></body></html>
`;
}

function htmlOf(block: Block): string {
  switch (block.kind) {
    case 'heading':
      return `<h${block.level}>${escapeHtml(block.text)}</h${block.level}>`;
    case 'text':
      return `<p>${escapeHtml(block.text)}</p>`;
    case 'list':
      return `<ul>${block.items.map((item) => `<li>${escapeHtml(item)}</li>`).join('')}</ul>`;
    case 'table': {
      const row = (cells: readonly string[], tag: string): string =>
        `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
      return `<div class="scroll"><table><thead>${row(block.head, 'th')}</thead><tbody>${block.rows.map((cells) => row(cells, 'td')).join('\n')}</tbody></table></div>`;
    }
    case 'figure':
      return `<figure role="img" aria-label="${escapeHtml(block.alt)}">${block.svg}</figure>`;
    default:
      return block satisfies never;
  }
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
