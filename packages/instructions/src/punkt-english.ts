/**
 * What the sentence splitter knows of English.
 *
 * Abbreviations and sentence starters are those that Punkt learnt from the Wall Street Journal: Kiss and
 * Strunk, "Unsupervised Multilingual Sentence Boundary Detection", Computational Linguistics 32(4), 2006; the
 * English model of NLTK (punkt_tab). The reference evaluator counts with that model, so what it does not know
 * ("e.g.", "etc.") is no abbreviation here either, and what it learnt by chance ("sw") is one.
 * Its counts of 20,000 words by case are replaced by a list of common words: they decide one thing, whether a
 * capital may be the start of a sentence.
 */

const list = (words: string): ReadonlySet<string> => new Set(words.trim().split(/\s+/));

/** Without the last full stop. */
export const abbreviations = list(`
  a.a a.c a.d a.g a.h a.m a.m.e a.s a.t adm ala ariz aug ave b.f b.v bros c c.i.t c.o.m.b c.v calif chg cie co
  col colo conn corp cos ct d d.c d.h d.w dec dr e e.f e.h e.l e.m f f.g f.j feb fla fri ft g g.d g.f g.k ga gen
  h h.c h.f h.m i.m.s ill inc j.b j.c j.j j.k j.p j.r jan jr k kan ky l l.a l.f l.p lt ltd m m.b.a m.d.c m.j maj
  messrs mg mich minn mr mrs ms n n.c n.d n.h n.j n.m n.v n.y nev nov oct ok okla ore p p.a.m p.m pa ph.d prof r
  r.a r.h r.i r.j r.k r.t rep reps s s.a s.a.y s.c s.g s.p.a s.s sen sep sept sr st sw t t.j tenn tues u.k u.n
  u.s u.s.a u.s.s.r v va vs vt w w.c w.r w.va w.w wash wed wis yr
`);

/** Words that, capitalised after an abbreviation, start a sentence. */
export const sentenceStarters = list(`
  according although among both but despite even he however i if in indeed instead it many meanwhile moreover most
  nevertheless nonetheless nor sales separately similarly since so some the there these they this though thus under
  when while yet
`);

/** Words that are written small unless they start a sentence or stand in a title. */
export const commonWords = list(`
  a about above across act add after again against all allow almost along already also always an analyse
  analyze and another answer any apply are around as ask assess assume at avoid away be because become been
  before begin being below better between beyond bring build buy by calculate call can change check choose
  collect combine come compare complete conduct consider continue could create current define describe
  design determine develop did discuss do does done down during each early either emphasise emphasize enough
  ensure establish evaluate every examine example explain explore few final find first follow for from full
  further get give given go had has have having help her here high his how identify implement important
  improve include increase into introduce introduction is its just keep know large later learn least less
  let like limited list long look low made maintain make manage may maybe me mean might monitor more much
  must my need never next no not note now of off often on once one only or other our out over overall own
  part people perform plan please possible prepare present provide put quickly rather read real reduce
  remember repeat research review same save second see select sentence set several shall she should show
  simple small solve someone something sometimes soon specific start stay step still stop such support take
  tell than thanks that their them then therefore think through time to today together too total try turn
  type understand understanding until up upon us use using various very want was watch we well were what
  where whether which whole whose why will with within without work would write year yes you your
`);
