// All that the page says, in one place. To have it in another language, translate the right-hand sides.

export const TEXTS = {
  title: "pe-search",
  views: { search: "Search", map: "Map", strip: "Timeline", counts: "Counts", copies: "Duplicates", odd: "Outliers" },
  searchLabel: "What to look for",
  searchPlaceholder: "dog barking",
  searchHint: "Type a sound. +rain adds, -wind subtracts, @word is a word that you taught. Press ? for the keys.",
  record: "Record a sound to look for",
  stopRecording: "Stop recording",
  recordingFailed: "The microphone can't be used: {reason}",
  pickFile: "Look for a sound like a file",
  dropHere: "Drop a sound to find what is like it",
  filters: "Filters",
  clear: "Clear all",
  filterNames: {
    words: "In names, folders and tags", name: "File name", tag: "Tag", under: "Folder", length: "Length",
    recorded: "Recorded", hour: "Hour of day", min_probability: "Least probability", loudness: "Loudness (LUFS)",
    bpm: "Tempo (BPM)", rate: "Sample rate (Hz)", channels: "Channels", all_windows: "All windows of a clip",
  },
  filterExamples: {
    words: "kick 808 -loop", name: "kick*.wav", tag: "good", under: "/home/me/sounds", length: "0.1-2",
    recorded: "2024-06-01..2024-06-30", hour: "22-4", min_probability: "0.5", loudness: "-30..-14", bpm: "118-122",
    rate: "44100-", channels: "2",
  },
  chips: { plus: "plus {text}", minus: "minus {text}", like: "like {text}", unlike: "unlike {text}" },
  removeChip: "Remove: {chip}",
  hits: "{count} hits in {ms} ms",
  oneHit: "1 hit in {ms} ms",
  noHits: "Nothing found. Fewer filters or other words may help.",
  searching: "Searching …",
  start: "{clips} clips, {hours} hours of sound. What do you want to hear?",
  noClips: "The store has no clips yet. Run pe-search index with a folder, then reload this page.",
  list: "Hits",
  row: "{rank}. {name}, {probability}{time}",
  play: "Play {name}",
  pause: "Pause",
  playShort: "Play",
  loop: "Loop",
  detail: "The chosen hit",
  choose: "Choose a hit with the arrow keys to hear it.",
  waveform: "Waveform of {name}. Click to play from there.",
  spectrogramOf: "Spectrogram of {name}, up to {khz} kHz",
  spectrogram: "Spectrogram",
  spans: "When it is heard",
  spansFound: "Heard: {spans}.",
  spansNone: "Not heard in this window.",
  spansNeedText: "This needs a text that is not a word of yours.",
  listening: "Listening …",
  like: "More like this",
  unlike: "Less like this",
  copyPath: "Copy path",
  copied: "Copied: {path}",
  saveFile: "Save file",
  savePart: "Save window",
  timeline: "Whole recording",
  favourite: "Favourite",
  favouriteTag: "favourite",
  tags: "Tags",
  addTag: "Add a tag",
  removeTag: "Remove the tag {tag}",
  tagged: "Tagged: {tags}",
  untagged: "No tags",
  gone: "The file is gone.",
  cantPlay: "This can't be played: {reason}",
  copies: "{count} more with the same bytes",
  teach: "Teach a word",
  teachWord: "Word",
  teachPlaceholder: "@mybird",
  teachWrong: "A word is @ and letters, digits, _, - and dots.",
  verdicts: { yes: "Yes", no: "No", unsure: "Unsure" },
  judged: "{word}: {yes} yes, {no} no, {unsure} unsure",
  judgedOne: "{name}: {verdict}. {standing}",
  nobodyJudged: "{word}: nothing judged yet",
  again: "Search with {word}",
  keyNeeded: "This page needs a key. Open the address that pe-search printed, or paste its key here.",
  keyLabel: "Key",
  keyOpen: "Open",
  offline: "The server does not answer. Start it again with pe-search page.",
  keysTitle: "Keys",
  close: "Close",
  keys: [
    ["/", "type what to look for"], ["↓ ↑", "next hit, previous hit; plays it"], ["Space", "play or pause"],
    ["← →", "one second back or on"], ["L", "loop the window"], ["S", "spectrogram"], ["H", "when it is heard"],
    ["M", "more like this"], ["X", "less like this"], ["C", "copy the path"], ["F", "favourite"], ["T", "add a tag"],
    ["Y N U", "yes, no, unsure, for the word that is taught"], ["?", "these keys"],
  ],
  showKeys: "Keys",
};

// A text with its {places} filled in.
export function fill(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function clock(seconds) {
  const whole = Math.max(0, seconds);
  const tenths = whole < 10 ? Math.round(whole * 10) / 10 : Math.round(whole);
  const hours = Math.floor(tenths / 3600), minutes = Math.floor(tenths / 60) % 60, rest = tenths % 60;
  const shown = (Number.isInteger(rest) ? String(rest) : rest.toFixed(1)).padStart(Number.isInteger(rest) ? 2 : 4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${shown}` : `${minutes}:${shown}`;
}
