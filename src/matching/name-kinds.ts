/** What a column holds. A name never matches a domain. */
export const NAME_KINDS = ['name', 'domain'] as const;
export type NameKind = (typeof NAME_KINDS)[number];
