/** How a user types this program's command: from a checkout it is reached through npx. */
export const COMMAND = import.meta.url.endsWith('.ts') ? 'npx veilsum' : 'veilsum';
