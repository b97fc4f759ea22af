package check

import (
	"slices"
	"strconv"
	"strings"

	"slipway/internal/image/reference"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

// servesRequests reports whether a Service sends a workload more than requests for metrics and probes.
func servesRequests(e *environment, w workload) bool {
	return slices.ContainsFunc(e.covering(w, "", "Service"), func(o object.Object) bool {
		ports := object.Mappings(o.At("spec", "ports"))
		return len(ports) == 0 || slices.ContainsFunc(ports, func(p map[string]any) bool {
			return !metricsPort().MatchString(text(p["name"])) && !metricsPort().MatchString(text(p["targetPort"])) &&
				!isScraped(e, o, p)
		})
	})
}

var metricsPort = lazyregexp.New(
	`(^|-)(metrics?|prometheus|prom|monitoring|telemetry|health|healthz|healthcheck|probes?|status|pprof)(-|$)`)

// isScraped reports whether annotations or a monitor say that a Service's port is for metrics.
func isScraped(e *environment, service object.Object, port map[string]any) bool {
	annotations := service.Annotations()
	if annotations["prometheus.io/scrape"] == "true" && text(annotations["prometheus.io/port"]) != "" {
		n, ok := number(port["port"])
		target, _ := number(port["targetPort"])
		wanted := text(annotations["prometheus.io/port"])
		return ok && (wanted == strconv.Itoa(n) || wanted == strconv.Itoa(target))
	}
	for _, o := range e.scraping {
		m := monitors[o.Ref().Group+"/"+o.Ref().Kind]
		labels := labelSet(object.Mapping(service.At("metadata", "labels")))
		if m.ofPods || !selectorOf(o.At("spec", "selector")).Matches(labels) {
			continue
		}
		for _, endpoint := range object.Mappings(o.At("spec", m.endpoints)) {
			if endpoint["port"] != nil && endpoint["port"] == port["name"] && !servesWeb(text(port["name"])) {
				return true
			}
		}
	}
	return false
}

// servesWeb reports whether a port's name is one under which programs serve both requests and metrics.
func servesWeb(name string) bool {
	return slices.Contains([]string{"http", "https", "web", "api", "grpc", "rest", "main", "app"},
		strings.ToLower(name)) || strings.HasPrefix(name, "http-") || strings.HasSuffix(name, "-http")
}

// stores matches the images of servers that keep data: two pods without their own replication are two stores.
var stores = lazyregexp.New(
	`(^|/)(redis|redis-stack|redis-stack-server|valkey|valkey-bundle|keydb|dragonfly|` +
		`memcached|nats|nats-streaming|rabbitmq|(cp-)?kafka|redpanda|(cp-)?zookeeper|activemq|activemq-artemis|mosquitto|` +
		`eclipse-mosquitto|emqx|vernemq|postgres|postgresql|postgis|pgvector|timescaledb|timescaledb-ha|mysql|` +
		`mysql-server|mariadb|percona|percona-server|mssql/server|mongo|mongodb|mongodb-community-server|couchdb|` +
		`cassandra|scylla|clickhouse|clickhouse-server|` +
		`cockroach|neo4j|influxdb|elasticsearch|opensearch|meilisearch|` +
		`typesense|qdrant|weaviate|chroma|etcd|minio|rethinkdb|arangodb|surrealdb|questdb|victoria-metrics|` +
		`prometheus|loki|registry|nsqd|beanstalkd|gitea|vault|consul)$`)

var (
	electing = lazyregexp.New(`(?i)leader[-_]?elect`)
	// timed matches the parts of names of programs that start something at certain times: two of them start it
	// twice.
	timed = lazyregexp.New(`(?i)(^|[-_/ ])` +
		`(scheduler|cron|crond|supercronic|beat|celerybeat|clock|ticker)($|[-_ ])`)
)

// isSingleton reports whether a workload is meant to run once: two pods cannot share its volume, would each
// be a store that does not know the other's data, or would do its work twice.
func isSingleton(e *environment, w workload) bool {
	if text(w.At("spec", "strategy", "type")) == "Recreate" || timed().MatchString(w.Ref().Name) {
		return true
	}
	for _, c := range w.containers() {
		if !c.stays {
			continue
		}
		if stores().MatchString(reference.Parse(text(c.body["image"])).Repository) {
			return true
		}
		command := wordsOf(c.body["command"]) + " " + wordsOf(c.body["args"])
		if electing().MatchString(command) || timed().MatchString(command) ||
			slices.ContainsFunc(object.Mappings(c.body["env"]), func(v map[string]any) bool {
				return electing().MatchString(text(v["name"])) && text(v["value"]) != "false"
			}) {
			return true
		}
	}
	return slices.ContainsFunc(object.Mappings(w.spec["volumes"]), func(v map[string]any) bool {
		claim := text(object.Mapping(v["persistentVolumeClaim"])["claimName"])
		return claim != "" && !isShared(e, w, claim)
	})
}

// isShared reports whether pods on several nodes can mount a claim. One that is not in the set may be either.
func isShared(e *environment, w workload, claim string) bool {
	o, ok := e.get("", "PersistentVolumeClaim", e.namespaceOf(w.Object), claim)
	modes, _ := o.At("spec", "accessModes").([]any)
	return ok && (slices.Contains(modes, any("ReadWriteMany")) || slices.Contains(modes, any("ReadOnlyMany")))
}

func wordsOf(list any) string {
	var words []string
	all, _ := list.([]any)
	for _, w := range all {
		words = append(words, text(w))
	}
	return strings.Join(words, " ")
}
