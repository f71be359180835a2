// A game between browsers that each have a network stack of their own and lose every fifth UDP packet, both ways.
import assert from "node:assert/strict";
import { open } from "./browser.mjs";
import { enter, everythingIsExported, matchToFirstFrame, playToTheEnd } from "./game.mjs";
import { network } from "./namespaces.mjs";
import { serve } from "./server.mjs";

const LOSS_PERCENT = 20;

export async function playOnALossyNetwork(players, { say }) {
  const seats = Array.from({ length: players }, (_, at) => `page${at}`);
  const net = await network(["server", ...seats]);
  const browsers = [];
  let server;
  try {
    server = await serve(["--players", String(players), "--episodes", "3", "--max-frames", "450", "--fps", "30"], {
      listen: `${net.address("server")}:8080`,
      within: net.within("server"),
    });
    for (const seat of seats) {
      await net.lose(seat, LOSS_PERCENT);
      // The namespaces have no multicast DNS by which browsers tell each other addresses they would rather hide.
      const flags = ["--disable-features=WebRtcHideLocalIpsWithMdns"];
      browsers.push(await open({ executable: await net.wrapper(seat, "/usr/bin/chromium"), flags }));
    }
    await enter(browsers, server.url);
    const games = await playToTheEnd(browsers, 150);
    const waits = await Promise.all(browsers.map(({ tab }) => matchToFirstFrame(tab)));
    await everythingIsExported(server.data, { players, episodes: 3, frames: 450 });
    for (const [at, seat] of seats.entries()) {
      const { dropped, passed } = await net.lost(seat);
      const share = dropped / (dropped + passed);
      const { game, lanes } = games[at];
      say(`page ${at}: ${dropped} of ${dropped + passed} packets dropped, ${game.rollbacks} rollbacks, ` +
        `${game.stalledFrames} stalled, ${game.comparedHashes} hashes compared, ` +
        `match to first frame ${waits[at].toFixed(0)} ms, the page's own estimate of loss ` +
        lanes.map((lane) => `${lane.lossPercent?.toFixed(0)} %`).join(", "));
      assert.ok(dropped + passed > 1350 * (players - 1) * 0.8, "the packets went another way");
      assert.ok(share > 0.15 && share < 0.25, `${share} of the packets were lost`);
    }
    assert.ok(games.some(({ game }) => game.rollbacks > 0), "nothing was ever predicted wrongly");
  } catch (error) {
    say(`the server's log:\n${server?.log()}`);
    throw error;
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    await server?.stop();
    await net.remove();
  }
}
