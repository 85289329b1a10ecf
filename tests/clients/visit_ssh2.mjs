// Node's ssh2: a command, files by SFTP, a terminal. Key and password, as prompted for.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';

const { Client } = createRequire(`${process.argv[3]}/`)('ssh2');
const visit = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const password = fs.readFileSync(visit.password_file, 'utf8').trim();
const client = new Client();

function collect(stream, input) {
  return new Promise((resolve) => {
    let out = '', err = '';
    stream.on('data', (data) => { out += data; });
    stream.stderr.on('data', (data) => { err += data; });
    stream.on('close', (code) => resolve([out, err, code]));
    stream.end(input);
  });
}

client.on('keyboard-interactive', (_name, _instructions, _language, prompts, answer) => {
  answer(prompts.map(() => password));
});
client.on('error', (fault) => { console.error(fault.message); process.exit(1); });
client.on('ready', async () => {
  const exec = promisify(client.exec.bind(client));
  const said = { command: await collect(await exec('cat; echo told >&2; exit 7'), 'given') };
  const sftp = await promisify(client.sftp.bind(client))();
  await promisify(sftp.fastPut.bind(sftp))(visit.sent, `${visit.there}/by-sftp`);
  await promisify(sftp.fastGet.bind(sftp))(`${visit.there}/by-sftp`, `${visit.back}/by-sftp`);
  const shell = await promisify(client.shell.bind(client))({ term: 'xterm', cols: 90, rows: 33 });
  [said.terminal] = await collect(shell, 'stty size; exit\n');
  client.end();
  console.log(JSON.stringify(said));
});
client.connect({
  host: visit.host,
  port: visit.port,
  username: visit.user,
  privateKey: fs.readFileSync(visit.key),
  tryKeyboard: true,
  hostHash: 'sha256',
  hostVerifier: (hash) => hash === visit.host_key_sha256,
});
