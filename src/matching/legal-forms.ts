/**
 * Legal forms of organisations, as words stand at a name's end or beginning after folding (canonical.ts): lower case,
 * no accents, no punctuation, words of one form run together ("GmbH & Co. KG" is `gmbhandcokg`, "S.p.A." is `spa`).
 *
 * Public and versioned with the rules: a change of a list is a new version, since sites that fold differently would not
 * meet. Forms that are everyday English words too (Me, Is, Ad, Et) are left out, and so is what names another body than
 * its founder (Stiftung, Foundation, Group, Holding). To extend them: ISO 20275, the code list of entity legal forms.
 */

/** At the end of a name, by where they come from. */
const SUFFIXES: Readonly<Record<string, string>> = {
  'English-speaking':
    'inc incorporated corp corporation co company ltd limited llc llp lp lllp plc pllc pc pty proprietary pte pvt privatelimited cic cio bhd sdnbhd berhad ultd uc dac clg',
  German:
    'gmbh ggmbh gmbhandco gmbhcokg gmbhundcokg gmbhandcokg gmbhandcokgaa gmbhcokgaa gmbhundcokgaa ag agandcokg agcokg agundcokg kg cokg andcokg undcokg kgaa seandcokg seandcokgaa ohg gbr ug ughaftungsbeschrankt ughaftungsbeschraenkt ev eg ek ekfm ekfr mbh partg partgmbb se sce gesmbh gesmbhandcokg aktiengesellschaft',
  French: 'sa sas sasu sarl eurl sci scop snc scs sca gie selarl cie etcie societeanonyme sprl asbl bvba scrl',
  Italian: 'spa srl srls sapa snc sas scarl scpa',
  'Spanish and Portuguese':
    'sa sl slu slp sau sac saci sacv sadecv srldecv sderl sderldecv saseb sabdecv sapidecv ltda limitada eireli epp lda unipessoallda sociedadanonima',
  Dutch: 'bv nv vof cv ua beslotenvennootschap naamlozevennootschap',
  Nordic: 'ab abpubl hb kb aktiebolag as asa ans aps ivs oy oyj oyab ky tmi hf ehf slhf ohf aktieselskab osakeyhtio',
  'Central and Eastern Europe':
    'spzoo spzook spolkazoo spk spj sro spolsro as vos ks kft zrt nyrt bt kkt doo dd ead eood ood uab sia ou jsc pjsc cjsc ojsc ooo oao zao pao tov ооо оао зао пао ао ип тов тдв еоод оод ад ead',
  'Greek and Turkish': 'ae epe ike αε επε ικε οε εε ltdsti sti anonimsirketi limitedsirketi',
  'Middle East and Africa': 'fzco fze fzllc dmcc wll bsc bscc saog saoc psc sal spc cc',
  'South and East Asia': 'opc kk yk gk kabushikikaisha yugenkaisha godokaisha tbk pcl 株 有 주',
};

/** At the beginning of a name. Few: many short words there are names. */
const PREFIXES = 'the pt ooo oao zao pao ооо оао зао пао ао тов uab kabushikikaisha 株 有 주';

/** Written without a blank beside the name, at either end. */
const ATTACHED =
  '株式会社 有限会社 合同会社 合資会社 合名会社 股份有限公司 有限责任公司 有限責任公司 有限公司 주식회사 유한회사';

/** Decomposed as names are when they are compared with them: Hangul falls apart into letters. */
const words = (text: string): string[] => text.normalize('NFKD').split(' ');

export const LEGAL_SUFFIXES: ReadonlySet<string> = new Set(Object.values(SUFFIXES).flatMap(words));
export const LEGAL_PREFIXES: ReadonlySet<string> = new Set(words(PREFIXES));
export const ATTACHED_FORMS: readonly string[] = words(ATTACHED);
