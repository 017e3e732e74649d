/** Markup that is safe to send. Made by `html` only. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Text for element content and quoted attributes. Control and bidirectional characters, with which a name could change
 * how the rest of the page reads, become U+FFFD.
 */
export function escapeHtml(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')
    .replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);
}

type Part = string | number | Html | readonly Html[];

/** Template tag: every value is escaped unless it is markup made by this tag. */
export function html(literals: TemplateStringsArray, ...values: readonly Part[]): Html {
  const render = (value: Part): string => {
    if (value instanceof Html) return value.text;
    if (typeof value === 'object') return value.map((part) => part.text).join('');
    return escapeHtml(String(value));
  };
  return new Html(literals.reduce((text, literal, i) => text + render(values[i - 1]!) + literal));
}
