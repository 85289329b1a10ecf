// Plays a recording with the stock asciinema player's own core (its driver and parser, without a browser's screen)
// and prints what it played as one line of JSON: {duration, size, sizes, output}.
//
//   node play.mjs FOLDER-WITH-node_modules RECORDING.cast
import { readFileSync, readdirSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';

const [folder, recording] = process.argv.slice(2);
const dist = resolve(folder, 'node_modules/asciinema-player/dist');
// The core's file carries a hash in its name; the package exports it only together with the browser's part.
const core_file = readdirSync(dist).find((name) => /^core-.*\.js$/.test(name));
const { C: Core } = await import(pathToFileURL(resolve(dist, core_file)));

const fault = (...words) => { throw new Error(words.join(' ')); };
const logger = { log() {}, debug() {}, info() {}, warn: fault, error: fault };
// The speed makes hours pass in moments; the order and the bytes stay.
const core = new Core({ data: readFileSync(recording, 'utf8') }, { logger, speed: 100000 });

let output = '';
let size;
const sizes = [];
core.addEventListener('output', (text) => { output += text; });
core.addEventListener('reset', (state) => { size ??= state.size; });
core.addEventListener('resize', (now) => { sizes.push(now); });
const ended = new Promise((done, failed) => {
  core.addEventListener('ended', done);
  core.addEventListener('error', failed);
});

core.terminalReady();
await core.init();
await core.play();
await ended;
console.log(JSON.stringify({ duration: await core.getDuration(), size, sizes, output }));
