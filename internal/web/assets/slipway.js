// Updates pages while they are open. Each page can be read without it.

const topic = document.body.dataset.topic ?? ''
const live = document.getElementById('live')
const news = new BroadcastChannel('slipway')
let signedOut = false

// One tab of the browser listens for all: a server grants a browser six connections. The tab that holds the lock
// has the stream, and gives both back when it is hidden.
let release = null
let waiting = null

function listen() {
  if (document.hidden || signedOut || waiting) return
  waiting = new AbortController()
  const open = () => new Promise(resolve => {
    const stream = new EventSource('/events')
    stream.addEventListener('open', () => say('live'))
    stream.addEventListener('change', e => { news.postMessage(e.data); changed(e.data) })
    stream.addEventListener('error', () => {
      say('connecting …')
      if (stream.readyState === EventSource.CLOSED) check()
    })
    release = () => { stream.close(); resolve() }
  })
  navigator.locks.request('slipway-events', { signal: waiting.signal }, open).catch(() => {})
}

function stop() {
  waiting?.abort()
  release?.()
  waiting = release = null
}

// A stream that ended for good: the session has ended, or Slipway.
async function check() {
  const answer = await fetch('/', { method: 'HEAD' }).catch(() => null)
  if (answer?.status === 401) return signOut()
  stop()
  setTimeout(listen, 3000)
}

function signOut() {
  signedOut = true
  stop()
  stopLog()
  say('signed out: load this page again')
}

function say(text) {
  if (live.textContent !== text) live.textContent = text
}

// The pages of an environment are about "project/environment", the board is about all.
function concerns(changed) {
  return topic === '' || topic === changed || topic.startsWith(changed + '/') || changed.startsWith(topic + '/')
}

let due = null
let busy = false

function changed(what) {
  if (!concerns(what) || due) return
  due = setTimeout(refresh, 50)
}

// Loads this page again, and replaces the parts of it that have changed.
async function refresh() {
  if (document.hidden || signedOut) { due = null; return }
  if (busy) { due = setTimeout(refresh, 200); return }
  due = null
  busy = true
  try {
    const answer = await fetch(location.href, { headers: { 'X-Refresh': '1' } })
    if (answer.status === 401) return signOut()
    if (!answer.ok) return
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html')
    for (const old of document.querySelectorAll('[data-live]')) {
      const fresh = next.getElementById(old.id)
      if (fresh && !isSame(fresh, old)) replace(old, fresh)
    }
    say('live')
    if (document.querySelector('[data-unfinished]')) due = setTimeout(refresh, 1000)
  } catch {
    say('not reachable')
  } finally {
    busy = false
  }
}

// Ages change without news.
function isSame(a, b) {
  const plain = node => {
    const copy = node.cloneNode(true)
    for (const t of copy.querySelectorAll('time')) t.textContent = ''
    for (const d of copy.querySelectorAll('details')) d.removeAttribute('open')
    return copy.innerHTML
  }
  return plain(a) === plain(b)
}

function replace(old, fresh) {
  const opened = [...old.querySelectorAll('details')].map(d => d.open)
  fresh.querySelectorAll('details').forEach((d, i) => { d.open = opened[i] ?? d.open })
  const at = document.activeElement
  const focus = old.contains(at) ? [...old.querySelectorAll('a, button, input, summary, select')].indexOf(at) : -1
  for (const form of old.querySelectorAll('form')) keep(form, fresh)
  old.replaceWith(fresh)
  mark(old, fresh)
  if (focus >= 0) fresh.querySelectorAll('a, button, input, summary, select')[focus]?.focus({ preventScroll: true })
}

// Shows what has changed: of a board the columns, else the whole part.
function mark(old, fresh) {
  const columns = [...fresh.querySelectorAll('.column')]
  const before = [...old.querySelectorAll('.column')]
  const differ = columns.filter((c, i) => !before[i] || !isSame(c, before[i]))
  for (const part of columns.length ? differ : [fresh]) part.classList.add('fresh')
}

// What somebody has typed stays.
function keep(form, fresh) {
  for (const field of form.elements) {
    if (!field.name || field.type === 'hidden') continue
    const same = fresh.querySelector(`form [name="${CSS.escape(field.name)}"]`)
    if (!same) continue
    if (field.type === 'checkbox') same.checked = field.checked
    else same.value = field.value
  }
}

// Ages of times, as the server prints them.
function age(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86400)}d`
}

setInterval(() => {
  if (document.hidden) return
  for (const t of document.querySelectorAll('time.age')) t.textContent = age((Date.now() - Date.parse(t.dateTime)) / 1000)
}, 5000)

// Logs: rows come as they are written, and the oldest leave.
const maxRows = 2000
let log = null

function followLog() {
  const table = document.querySelector('[data-follow]')
  if (!table || log || document.hidden || signedOut) return
  log = new EventSource(table.dataset.follow)
  log.addEventListener('rows', e => {
    const rows = document.createElement('template')
    rows.innerHTML = `<table><tbody>${e.data}</tbody></table>`
    const atEnd = innerHeight + scrollY >= document.body.scrollHeight - 40
    table.tBodies[0].append(...rows.content.querySelectorAll('tr'))
    while (table.rows.length > maxRows) table.rows[0].remove()
    if (atEnd) scrollTo(0, document.body.scrollHeight)
  })
  log.addEventListener('error', () => { if (log?.readyState === EventSource.CLOSED) { stopLog(); check() } })
}

function stopLog() {
  log?.close()
  log = null
}

// A form is sent once, and says that it was.
document.addEventListener('submit', e => {
  if (e.target.method !== 'post') return
  const button = e.submitter
  setTimeout(() => { if (button) { button.disabled = true; button.textContent += ' …' } })
})

news.addEventListener('message', e => { say('live'); changed(e.data) })
document.addEventListener('visibilitychange', () => {
  if (document.hidden) { stop(); stopLog() } else { listen(); followLog(); refresh() }
})
addEventListener('pagehide', () => { stop(); stopLog() })
addEventListener('pageshow', e => { if (e.persisted) { listen(); followLog(); refresh() } })

listen()
followLog()
if (document.querySelector('[data-unfinished]')) due = setTimeout(refresh, 700)
