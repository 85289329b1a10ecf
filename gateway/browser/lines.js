// Reads an answer of the gateway that goes on: lines of JSON, an empty one as a sign of life. The next is read when the
// one before was shown, so that what this browser cannot follow waits in the gateway, which tells it together then.

const AGAIN = 3000;

// Calls show(line) for each; tells lost() when the gateway is not reached, and tries again; over() when it says no.
export async function follow(path, { show, lost, over }) {
  for (;;) {
    let status = 0;
    try {
      const answer = await fetch(path, {
        headers: { Accept: "application/x-ndjson" },
        redirect: "manual",
        cache: "no-store",
      });
      status = answer.status;
      if (answer.ok && (await read(answer.body.getReader(), show))) return;
    } catch {
      // The network: what was shown stays, and is marked as old.
    }
    // Signed out, or not allowed: asking again would change nothing.
    if (status !== 0 && status !== 200 && status < 500) return over();
    lost();
    await new Promise((resolve) => setTimeout(resolve, AGAIN));
  }
}

// Whether it came to its end by the gateway's word.
async function read(reader, show) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return false;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines.filter((line) => line !== "")) {
      const told = JSON.parse(line);
      await show(told);
      if (told.end !== undefined) return true;
    }
  }
}
