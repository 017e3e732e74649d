import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalOf } from '../../src/matching/canonical.ts';
import { ATTACHED_FORMS, LEGAL_PREFIXES, LEGAL_SUFFIXES } from '../../src/matching/legal-forms.ts';

const name = (text: string): string | null => canonicalOf('name', text);
const domain = (text: string): string | null => canonicalOf('domain', text);

/** Spellings of one organisation, on one line each. */
const SAME: readonly (readonly string[])[] = [
  ['GTX Pro', 'GTXPro', 'gtx-pro', ' GTX  PRO ', 'ＧＴＸ　Ｐｒｏ'],
  [
    'Acme',
    'ACME Inc.',
    'Acme, Inc',
    'Acme Corporation',
    'The Acme Company',
    'Acme Co., Ltd.',
    'acme LLC',
    'Acme Pty Ltd',
  ],
  ['Müller', 'Mu\u0308ller GmbH', 'MULLER GmbH & Co. KG', 'Müller G.m.b.H.', 'Müller GmbH und Co. KG', 'Muller AG'],
  ['Straße', 'STRASSE GmbH', 'Strasse'],
  ['Enel', 'Enel S.p.A.', 'ENEL SpA', 'Enel S. p. A.'],
  ['Société Générale', 'SOCIETE GENERALE SA', 'Société Générale S.A.'],
  ['Cemex', 'CEMEX, S.A.B. de C.V.', 'Cemex S. de R.L. de C.V.', 'Cemex SA de CV'],
  ['Petróleo Brasileiro', 'Petroleo Brasileiro S.A.', 'PETRÓLEO BRASILEIRO LTDA.'],
  ['Philips', 'Philips N.V.', 'Philips B.V.'],
  ['Maersk', 'Mærsk A/S'.replace('æ', 'ae'), 'Mærsk A/S'],
  ['Ørsted', 'Orsted A/S', 'ØRSTED'],
  ['Nokia', 'Nokia Oyj', 'NOKIA OY AB'],
  ['Volvo', 'Volvo AB (publ)', 'VOLVO AB'],
  ['Orlen', 'ORLEN Sp. z o.o.', 'Orlen spółka z o.o.', 'Orlen S.A.'],
  ['Škoda', 'SKODA a.s.', 'Škoda s.r.o.'],
  ['Koç', 'KOÇ A.Ş.', 'Koc Ltd. Şti.', 'KOÇ LTD. ŞTİ.'],
  ['Ромашка', 'ООО «Ромашка»', 'ромашка ООО'],
  ['ΟΤΕ', 'ΟΤΕ Α.Ε.', 'οτε αε'],
  ['Astra', 'PT Astra Tbk', 'PT. Astra Tbk.'],
  ['トヨタ自動車', 'トヨタ自動車株式会社', '株式会社トヨタ自動車', '㈱トヨタ自動車'],
  ['华为技术', '华为技术有限公司', '华为技术 有限公司'],
  ['삼성전자', '삼성전자주식회사', '(주)삼성전자', '주식회사 삼성전자'],
  ["L'Oréal", 'LOreal S.A.', 'L’Oréal'],
  ['Johnson & Johnson', 'Johnson and Johnson', 'JOHNSON&JOHNSON Inc'],
];

/** Different organisations that a greedier rule would merge. */
const DIFFERENT: readonly (readonly [string, string])[] = [
  ['Acme', 'Acme Group'],
  ['Robert Bosch GmbH', 'Robert Bosch Stiftung'],
  ['Delta', 'Delta 2'],
  ['AG', 'SE'],
  ['Contact', 'Contact Me'],
  ['Bio', 'Bioco'],
  ['कमल', 'कमला'],
];

describe('canonical names', () => {
  it.each(SAME)('%s', (first, ...others) => {
    const expected = name(first);
    expect(expected).not.toBeNull();
    for (const other of others) expect([other, name(other)]).toEqual([other, expected]);
  });

  it.each(DIFFERENT)('%s is not %s', (one, other) => {
    expect(name(one)).not.toBe(name(other));
  });

  it('distinct organisations of the lists above stay distinct', () => {
    expect(new Set(SAME.map(([first]) => name(first!))).size).toBe(SAME.length);
  });

  it('blank cells and what stands for them have no name', () => {
    for (const text of ['', '   ', '-', '—', 'n/a', 'N/A', 'None', 'unknown', '???', '\u0301']) {
      expect([text, name(text)]).toEqual([text, null]);
    }
  });

  it('a name that is nothing but a legal form keeps it', () => {
    expect(['AG', 'A.G.', 'The Company', 'Limited', '株式会社'].map(name)).toEqual([
      'ag',
      'ag',
      'the',
      'limited',
      '株式会社',
    ]);
  });

  const anyText = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc
      .array(
        fc.constantFrom(
          ...[...LEGAL_SUFFIXES, ...LEGAL_PREFIXES, ...ATTACHED_FORMS],
          ...['Acme', '.', ' ', '&', '-', 'İ', 'ΣΑΣ', 'ﬀ', 'ǅ', '\u3099', 'S.', 'A.', 'ß', 'ẞ', 'Ⅷ', '①', '½', 'ſ'],
        ),
        { maxLength: 8 },
      )
      .map((parts) => parts.join('')),
  );

  it('is idempotent, and made of letters, digits and marks only', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const once = name(text);
        if (once === null) return;
        expect(name(once)).toBe(once);
        expect(once).toMatch(/^[\p{L}\p{N}\p{M}]+$/u);
      }),
      { numRuns: 4_000 },
    );
  });

  it('does not depend on case, blanks around it, Unicode form or width', () => {
    const word = fc.stringMatching(/^[A-Za-zÀ-ÖØ-öø-ÿ]{2,12}$/);
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), (words) => {
        const text = words.join(' ');
        const wide = text.replaceAll(/[!-~]/g, (c) => String.fromCharCode(c.charCodeAt(0) + 0xfee0));
        const spellings = [text.toUpperCase(), ` ${text}\t`, text.normalize('NFD'), wide, words.join('-')];
        expect(spellings.map(name)).toEqual(spellings.map(() => name(text)));
      }),
      { numRuns: 500 },
    );
  });

  it('refuses what is no name, without repeating it', () => {
    expect(() => name('x'.repeat(513))).toThrow(/longer than 512/);
    expect(name('x'.repeat(512))).toBe('x'.repeat(512)); // control
  });
});

describe('canonical domains', () => {
  it('are hosts as DNS has them', () => {
    const spellings = [
      'acme.com',
      'https://www.Acme.com/about?x=1',
      'ACME.COM.',
      'jane@acme.com',
      'www.acme.com:443',
      'http://u:p@acme.com/',
    ];
    expect(spellings.map(domain)).toEqual(spellings.map(() => 'acme.com'));
    expect(domain('MÜLLER.example')).toBe(domain('xn--mller-kva.example'));
    expect(domain('mail.acme.com')).toBe('mail.acme.com');
    expect(domain('www.com')).toBe('www.com');
    expect(['', ' ', 'n/a', '://', '@', 'jane@'].map(domain)).toEqual(Array(6).fill(null));
  });

  it('are idempotent', () => {
    fc.assert(
      fc.property(fc.oneof(fc.webUrl(), fc.domain(), fc.emailAddress(), fc.string({ unit: 'binary' })), (text) => {
        const once = domain(text);
        if (once !== null) expect(domain(once)).toBe(once);
      }),
      { numRuns: 2_000 },
    );
  });
});
