import { type SeededRandom, seededRandom } from './random.ts';
import { type SyntheticSettings, syntheticRegions } from './synthetic.ts';
import { column, makeTable, type Table } from './table.ts';

/** The column that the conversations stand in. */
export const CONVERSATION = 'last_conversation';

/**
 * The synthetic CRM tables with what was said in each lead's last call. Synthetic: nobody said any of it. How much a
 * customer wants to buy shows in the words and in the outcome, beyond what the other columns tell; the words mean the same
 * everywhere, but regions talk differently, and no region hears every phrase often.
 */
export function syntheticConversations(settings: SyntheticSettings): Table[] {
  return syntheticRegions(settings).map((table, region) => {
    const random = seededRandom(`conversations/${settings.seed}/${table.name}`);
    const texts = column(table, 'hot_lead').map((label) => drawConversation(label === 'yes', region, random));
    return makeTable(table.name, new Map([...table.columns, [CONVERSATION, texts]]));
  });
}

/** Of a lead with this outcome: the wish to buy is one and a half standard deviations apart between the two, on average. */
function drawConversation(isHot: boolean, region: number, random: SeededRandom): string {
  if (random.uniform() < 0.06) return ''; // no call yet
  const wish = random.normal() + (isHot ? 0.75 : -0.75);
  const turns = 3 + random.integer(5);
  const lines = Array.from({ length: turns }, () => {
    const line = drawLine(wish, region, random);
    return `${random.uniform() < 0.3 ? 'rep' : 'customer'}: ${line}`;
  });
  return lines.join('\n');
}

function drawLine(wish: number, region: number, random: SeededRandom): string {
  if (random.uniform() < 0.45) return pickFor(SMALL_TALK, region, random);
  return pickFor(random.uniform() < 1 / (1 + Math.exp(-1.2 * wish)) ? WANTS : DECLINES, region, random);
}

/** Of every four phrases each region prefers one of its own. */
function pickFor(phrases: readonly string[], region: number, random: SeededRandom): string {
  const any = random.integer(phrases.length);
  if (random.uniform() < 0.35) return phrases[any]!;
  return phrases[(any - (any % 4) + region) % phrases.length]!;
}

const WANTS = [
  'can you send the pricing for all our seats',
  'we are not happy with the current tool any more',
  'our legal team has started on the contract',
  'when could the roll out begin',
  'the pilot went better than expected',
  'my director asked for a quote this week',
  'we have the budget approved for this quarter',
  'who would train our people once we sign',
  'is single sign on part of the annual plan',
  'we would like to move two more teams over',
  'please bring your engineer to the next call',
  'procurement needs your security questionnaire back',
];
const DECLINES = [
  'there is no budget left this year',
  'we are happy with the current tool for now',
  'we have renewed with another vendor',
  'this is not a priority before the audit',
  'the pilot did not convince our people',
  'my director has stopped all new projects',
  'please take me off the calling list',
  'nobody here has time to look at it',
  'the price is far beyond what we can pay',
  'we will build this ourselves',
  'maybe call again after the reorganisation',
  'we need something much smaller',
];
const SMALL_TALK = [
  'thanks for calling back',
  'the line is not very good today',
  'let me share my screen for a moment',
  'as I said in my mail last week',
  'how was the trade fair',
  'we have about twenty minutes',
  'my colleague will join us later',
  'could you repeat the last point',
  'it has been a busy month for everybody',
  'I will send the notes after this call',
  'the holidays are coming up here',
  'good to hear from you again',
];
