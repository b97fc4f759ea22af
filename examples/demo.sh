#!/usr/bin/env bash
# The main job, end to end, on a sandbox of its own: `make demo` runs this.
# KEEP=1 leaves the sandbox and the repository in place, to go on by hand.
set -euo pipefail

examples=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/slipway-demo-XXXXXX")
export PATH="$(dirname "$examples")/bin:$PATH"
GOCACHE=$(go env GOCACHE) # before the next line moves it: the standard library is compiled already
export GOCACHE XDG_DATA_HOME=$work/data XDG_CACHE_HOME=$work/cache
export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.com GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.com
started=$SECONDS agent=''

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; fi

finish() {
  code=$?
  if [ "${KEEP:-}" = 1 ] && [ $code = 0 ]; then return; fi
  [ -z "$agent" ] || kill "$agent" 2>/dev/null || true
  slipway sandbox down 2>/dev/null || true
  rm -rf "$work"
  [ $code = 0 ] || echo "demo: stopped with exit code $code" >&2
}
trap finish EXIT

say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }

# run prints a command as one would type it, and runs it; the exit code must be the first argument.
run() {
  local want=$1 code=0
  printf '%s$ %s%s\n' "$bold" "$2" "$plain"
  eval "$2" || code=$?
  if [ $code != "$want" ]; then echo "demo: exit code $code, expected $want" >&2; exit 1; fi
}

# until_said waits for a line of the agent's log, and prints it.
until_said() {
  for _ in $(seq 600); do
    if grep -m1 -o "msg=\"[^\"]*$1[^\"]*" "$work/agent.log" | sed 's/^msg="/agent: /'; then return; fi
    sleep 0.1
  done
  tail -n 5 "$work/agent.log" >&2
  echo "demo: the agent never said $1" >&2
  exit 1
}

# broken makes a version that ends at once.
broken() {
  cat >>Dockerfile <<'DOCKERFILE'
LABEL sandbox.slipway.dev/behavior="exit=2" \
      sandbox.slipway.dev/log="panic: DATABASE_URL is not set"
DOCKERFILE
}

say "A cluster, a registry and a Git server on this machine: one process, no Docker."
run 0 'slipway sandbox up'
export KUBECONFIG=$work/data/slipway/sandbox/default/kubeconfig

say "The service: one Dockerfile, one base, an overlay for each environment."
cp -r "$examples/myapp" "$work/myapp" && cd "$work/myapp"
run 0 'git init -q -b main && git add -A && git commit -qm "myapp" && git ls-files k8s'
run 0 'CGO_ENABLED=0 go build -trimpath -buildvcs=true -o dist/myapp .'

say "What would happen? Nothing is written by asking."
run 0 'slipway plan dev'

say "Build, push, plan, apply, watch, record: one command. Then the same image, by digest, further up."
run 0 'slipway deploy dev --yes'
run 0 'slipway deploy staging --yes'
run 0 'slipway deploy prod --yes'
run 0 'slipway status'

say "A broken version. Simulated nodes run nothing: the label tells them how this version behaves."
broken
run 0 'git commit -qam "read the database address from the environment" && git log --oneline'
run 5 'slipway deploy prod --yes'

say "Production is back where it was, and the record says why."
run 0 'slipway status'
run 0 'slipway history prod'

say "The fix with a new greeting, and then a change of mind: a rollback is a release like any other."
run 0 'git revert --no-edit HEAD >/dev/null'
run 0 'sed -i "s/hello from production/welcome/" k8s/overlays/prod/kustomization.yaml && git commit -qam "another greeting"'
run 0 'slipway deploy prod --yes'
run 0 'slipway rollback prod --yes'
run 0 'slipway status'

say "From push to pull: an agent follows the branch. CI's job ends with the commit that promotes an image."
git_server=$(slipway sandbox status | sed -n 's/^git server *//p')
export git_server
run 0 'git remote add origin "$git_server/myapp.git" && git push -q -u origin main'
run 0 'slipway build staging && slipway promote staging --push'
cat >../agent.yaml <<YAML
repositories:
  - url: $git_server/myapp.git
    interval: 500ms
    environments:
      staging: {onCommit: deploy, onDrift: repair, writeBack: push}
listen: 127.0.0.1:0
YAML
run 0 'cat ../agent.yaml'
printf '%s$ slipway agent run --config ../agent.yaml &%s\n' "$bold" "$plain"
slipway agent run --config ../agent.yaml 2>"$work/agent.log" &
agent=$!
until_said "changes nothing in staging"
run 0 'sed -i "s/hello from staging/welcome/" k8s/overlays/staging/kustomization.yaml && git commit -qam "greet testers" && git push -q'
until_said "is release 2, healthy"

say "Somebody changes the cluster by hand: the agent says who, and sets it back."
run 0 'kubectl --context staging scale deployment/myapp --replicas=5'
until_said "repaired: .*spec.replicas by kubectl"
run 0 "KUBE_EDITOR='sed -i s/128Mi/1Gi/' kubectl --context staging edit deployment/myapp"
until_said "repaired: .*limits.memory by kubectl-edit"
run 0 'slipway drift staging'

say "A bad commit: the agent rolls back from the record, quarantines the objects, and reverts the file in Git."
broken
run 0 'git commit -qam "read the database address again" && git push -q && slipway build staging && slipway promote staging --push'
until_said "is held back"
until_said "reverted on main"
run 0 'git pull -q --ff-only && git log --oneline -3 && git show --stat --format=%b | head -n 12'
run 0 'slipway status'
kill "$agent" && wait "$agent"
agent=''

echo
if [ "${KEEP:-}" = 1 ]; then
  nohup slipway ui --no-browser >"$work/ui" 2>/dev/null &
  ui=$!
  while [ ! -s "$work/ui" ] && kill -0 $ui; do sleep 0.1; done # it prints the address first
  cat <<TEXT
All environments in the browser: $(cat "$work/ui")   # kill $ui ends it

${bold}Go on by hand:${plain}
  export PATH=$(dirname "$examples")/bin:\$PATH XDG_DATA_HOME=$XDG_DATA_HOME KUBECONFIG=$KUBECONFIG
  cd $work/myapp
  slipway plan staging        # what would change
  slipway history prod        # what happened
  slipway sandbox reset       # when you are done; then remove $work
TEXT
else
  echo "Done in $((SECONDS - started)) s; nothing is left behind. To go on by hand: KEEP=1 make demo"
fi
