// Keeps the page's files in the browser, so that it opens without a network too.
const KEPT = "fer_lib";
const FILES = "./ page.js faces.js classifier.onnx classifier.onnx.json yunet.onnx @@RUNTIME_FILES";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll(FILES.split(" "))));
});

// The server's newer file comes first; what is kept stands in for it.
self.addEventListener("fetch", (event) => {
  event.respondWith(newest(event.request));
});

async function newest(request) {
  const kept = await caches.open(KEPT);
  let answer;
  try {
    answer = await fetch(request);
  } catch (error) {
    const before = await kept.match(request, { ignoreSearch: true });
    if (before) return before;
    throw error;
  }
  if (answer.ok) kept.put(request, answer.clone()).catch(() => {}); // without room it is not kept
  return answer;
}
