// Notes on places that do not exist, and sentences that say what they say, in several languages. No sentence has a comma, a quotation mark, or its value first:
// marks of form are put on afterwards.
import type { Draws } from "../draws.js";

export const noteLanguages = ["en", "de", "fr", "es"] as const;
export type NoteLanguage = (typeof noteLanguages)[number];

export interface Note {
  readonly key: string;
  readonly value: string | number;
  /** Ways to say it. */
  readonly say: Readonly<Record<NoteLanguage, readonly string[]>>;
  /** Asks whether the value is above a number. */
  readonly above?: (limit: number) => string;
}

export interface Subject {
  readonly kind: string;
  readonly name: string;
  /** "the town of Arnfeld" */
  readonly title: string;
  readonly notes: readonly Note[];
}

interface Line {
  readonly key: string;
  readonly draw: (draws: Draws) => string | number;
  /** {n}: the name, {v}: the value, {x}: the number that it is held against. */
  readonly en: readonly string[];
  readonly de: string;
  readonly fr: string;
  readonly es: string;
  readonly above?: string;
}

const people =
  `Adler Brandt Calder Dorsey Ekman Falk Garner Hollis Iversen Jansen Keller Lindqvist Marlow Novak Osborne Pryce Quinn Rossi Sandoval Thorne Ulrich Varga Weston Yates`
    .trim()
    .split(" ");
const person = (draw: Draws): string => draw.pick(people);
const between = (least: number, most: number) => (draw: Draws) => draw.int(least, most);

const kinds: Readonly<Record<string, { readonly title: string; readonly lines: readonly Line[] }>> = {
  town: {
    title: "the town of {n}",
    lines: [
      {
        key: "founded",
        draw: between(1100, 1950),
        en: ["{n} was founded in {v}.", "People have lived in {n} since {v}."],
        de: "{n} wurde im Jahr {v} gegründet.",
        fr: "La ville de {n} a été fondée en {v}.",
        es: "La ciudad de {n} fue fundada en {v}.",
        above: "Was {n} founded after {x}?",
      },
      {
        key: "inhabitants",
        draw: between(900, 90_000),
        en: ["The town has {v} inhabitants.", "In all {v} people call {n} their home."],
        de: "In der Stadt leben {v} Menschen.",
        fr: "La ville compte {v} habitants.",
        es: "En la ciudad viven {v} personas.",
        above: "Does {n} have more than {x} inhabitants?",
      },
      {
        key: "schools",
        draw: between(2, 40),
        en: ["Children go to one of {v} schools.", "There are {v} schools in the town."],
        de: "Die Kinder besuchen eine von {v} Schulen.",
        fr: "Les enfants vont dans une des {v} écoles.",
        es: "Los niños van a una de las {v} escuelas.",
        above: "Does {n} have more than {x} schools?",
      },
      {
        key: "bridges",
        draw: between(2, 30),
        en: [
          "Its river is crossed by {v} bridges.",
          "Whoever walks through {n} can cross the river on {v} bridges.",
        ],
        de: "Über den Fluss führen {v} Brücken.",
        fr: "On traverse la rivière sur {v} ponts.",
        es: "El río se cruza por {v} puentes.",
        above: "Are there more than {x} bridges in {n}?",
      },
      {
        key: "mayor",
        draw: person,
        en: ["The mayor is called {v}.", "The town is governed by a mayor whose name is {v}."],
        de: "Das Amt der Bürgermeisterin hat Frau {v}.",
        fr: "La mairie est dirigée par Madame {v}.",
        es: "La alcaldesa se llama {v}.",
      },
      {
        key: "metres above the sea",
        draw: between(3, 2400),
        en: ["{n} lies {v} metres above the sea.", "The streets are {v} metres higher than the sea."],
        de: "Der Ort liegt {v} Meter über dem Meer.",
        fr: "Elle se trouve à {v} mètres au-dessus de la mer.",
        es: "Está situada a {v} metros sobre el nivel del mar.",
        above: "Does {n} lie higher than {x} metres above the sea?",
      },
      {
        key: "minutes to the capital by train",
        draw: between(12, 300),
        en: ["A train needs {v} minutes to the capital.", "The capital is {v} minutes away by train."],
        de: "Mit dem Zug dauert die Fahrt in die Hauptstadt {v} Minuten.",
        fr: "Le train met {v} minutes pour aller jusqu'à la capitale.",
        es: "El tren tarda {v} minutos en llegar a la capital.",
        above: "Does the train from {n} to the capital take more than {x} minutes?",
      },
    ],
  },
  museum: {
    title: "the {n} museum",
    lines: [
      {
        key: "opened",
        draw: between(1820, 2019),
        en: ["The museum opened its doors in {v}.", "Visitors have come to the {n} museum since {v}."],
        de: "Das Museum {n} öffnete im Jahr {v} seine Türen.",
        fr: "Le musée {n} a ouvert ses portes en {v}.",
        es: "El museo {n} abrió sus puertas en {v}.",
        above: "Did the {n} museum open after {x}?",
      },
      {
        key: "rooms",
        draw: between(5, 90),
        en: ["Its collection fills {v} rooms.", "A walk through the house leads past {v} rooms."],
        de: "Die Sammlung füllt {v} Räume.",
        fr: "La collection occupe {v} salles.",
        es: "La colección ocupa {v} salas.",
        above: "Does the {n} museum have more than {x} rooms?",
      },
      {
        key: "paintings",
        draw: between(40, 3000),
        en: ["On the walls hang {v} paintings.", "The {n} museum owns {v} paintings."],
        de: "An den Wänden hängen {v} Gemälde.",
        fr: "Sur les murs on peut voir {v} tableaux.",
        es: "En las paredes cuelgan {v} cuadros.",
        above: "Does the {n} museum own more than {x} paintings?",
      },
      {
        key: "director",
        draw: person,
        en: ["The director is called {v}.", "The house is led by a director named {v}."],
        de: "Die Leitung des Hauses hat Frau {v}.",
        fr: "La directrice du musée s'appelle {v}.",
        es: "La directora del museo se llama {v}.",
      },
      {
        key: "visitors a year",
        draw: between(4000, 900_000),
        en: ["Every year {v} visitors come.", "The museum counts {v} visitors a year."],
        de: "Jedes Jahr kommen {v} Besucher.",
        fr: "Chaque année {v} visiteurs viennent.",
        es: "Cada año vienen {v} visitantes.",
        above: "Do more than {x} visitors a year come to the {n} museum?",
      },
      {
        key: "price of a ticket in euros",
        draw: between(3, 25),
        en: ["A ticket costs {v} euros.", "Who wants to see it pays {v} euros for a ticket."],
        de: "Eine Eintrittskarte kostet {v} Euro.",
        fr: "Un billet coûte {v} euros.",
        es: "Una entrada cuesta {v} euros.",
        above: "Does a ticket of the {n} museum cost more than {x} euros?",
      },
      {
        key: "guides",
        draw: between(2, 60),
        en: ["Groups are shown around by {v} guides.", "The {n} museum employs {v} guides."],
        de: "Die Gruppen werden von {v} Führern begleitet.",
        fr: "Les groupes sont accompagnés par {v} guides.",
        es: "Los grupos son acompañados por {v} guías.",
        above: "Does the {n} museum employ more than {x} guides?",
      },
    ],
  },
  trail: {
    title: "the {n} trail",
    lines: [
      {
        key: "length in kilometres",
        draw: between(4, 220),
        en: ["The {n} trail is {v} kilometres long.", "From end to end walkers cover {v} kilometres."],
        de: "Der Wanderweg {n} ist {v} Kilometer lang.",
        fr: "Le sentier {n} mesure {v} kilomètres.",
        es: "El sendero {n} mide {v} kilómetros.",
        above: "Is the {n} trail longer than {x} kilometres?",
      },
      {
        key: "highest point in metres",
        draw: between(300, 4100),
        en: ["Its highest point lies at {v} metres.", "The path climbs to a height of {v} metres."],
        de: "Der höchste Punkt liegt auf {v} Metern.",
        fr: "Le point le plus haut se trouve à {v} mètres.",
        es: "El punto más alto se encuentra a {v} metros.",
        above: "Does the {n} trail climb higher than {x} metres?",
      },
      {
        key: "huts",
        draw: between(2, 19),
        en: ["Walkers can sleep in {v} huts.", "There are {v} huts along the way."],
        de: "Unterwegs kann man in {v} Hütten schlafen.",
        fr: "On peut dormir dans {v} refuges le long du chemin.",
        es: "Se puede dormir en {v} refugios a lo largo del camino.",
        above: "Are there more than {x} huts along the {n} trail?",
      },
      {
        key: "days",
        draw: between(2, 15),
        en: ["The whole walk takes {v} days.", "Most people need {v} days for it."],
        de: "Für die ganze Strecke braucht man {v} Tage.",
        fr: "Il faut {v} jours pour faire tout le parcours.",
        es: "Se necesitan {v} días para hacer todo el recorrido.",
        above: "Does the {n} trail take more than {x} days?",
      },
      {
        key: "marked since",
        draw: between(1880, 2015),
        en: ["The path has been marked since {v}.", "Its first signs were put up in {v}."],
        de: "Der Weg ist seit {v} markiert.",
        fr: "Le chemin est balisé depuis {v}.",
        es: "El camino está señalizado desde {v}.",
        above: "Has the {n} trail been marked since a year after {x}?",
      },
      {
        key: "warden",
        draw: person,
        en: ["A warden by the name of {v} looks after it.", "The warden of the trail is called {v}."],
        de: "Um die Pflege kümmert sich Frau {v}.",
        fr: "La gardienne du sentier s'appelle {v}.",
        es: "La guarda del sendero se llama {v}.",
      },
      {
        key: "springs",
        draw: between(2, 30),
        en: ["Fresh water comes from {v} springs.", "On the way there are {v} springs with clean water."],
        de: "Frisches Wasser kommt aus {v} Quellen.",
        fr: "L'eau fraîche vient de {v} sources.",
        es: "El agua fresca viene de {v} fuentes.",
        above: "Are there more than {x} springs on the {n} trail?",
      },
    ],
  },
};

/** Numbers that lie apart from a value of that size, on both sides. */
export function limitBeside(draw: Draws, value: number): number {
  const step = Math.max(1, Math.round((value > 1000 && value < 2100 ? 60 : value * 0.6) * draw.unit()));
  return draw.chance(0.5) ? value + step : Math.max(0, value - step);
}

/** A place with `count` notes, and the notes that it lacks. */
export function drawSubject(draw: Draws, count: number): Subject & { readonly untold: readonly Note[] } {
  const kind = draw.pick(Object.keys(kinds));
  const { title, lines } = kinds[kind]!;
  const name = nameOf(draw);
  const notes = draw.shuffled(lines).map(({ key, draw: drawn, en, de, fr, es, above }): Note => {
    const value = drawn(draw);
    const filled = (text: string): string => text.replaceAll("{n}", name).replaceAll("{v}", String(value));
    return {
      ...{ key, value },
      say: { en: en.map(filled), de: [filled(de)], fr: [filled(fr)], es: [filled(es)] },
      ...(above !== undefined && { above: (limit) => filled(above).replaceAll("{x}", String(limit)) }),
    };
  });
  return {
    ...{ kind, name, title: title.replaceAll("{n}", name) },
    notes: notes.slice(0, count),
    untold: notes.slice(count),
  };
}

/** One word that is none: Arnfeld, Velstead. */
function nameOf(draw: Draws): string {
  const [first, last] = [
    "Arn Bel Cor Dun El Fen Gar Hal Is Kel Lor Mar Nor Os Pel Quin Ros Sel Tor Ul Vel Wen Yar Zel",
    "berg bury dale den feld ford gard ham holm lake mark mere more ridge rock stead thal tor vale wick",
  ].map((parts) => draw.pick(parts.split(" "))) as [string, string];
  return `${first}${draw.pick(["", "a", "en", "er", "i", "o"])}${last}`;
}
