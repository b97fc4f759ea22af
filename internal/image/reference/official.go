package reference

import (
	"slices"
	"strings"
)

// official are the images in Docker Hub's library, those that are no longer updated included: an image
// without a registry and an account comes from there.
var official = strings.Fields(`
	adminer adoptopenjdk aerospike almalinux alpine alt amazoncorretto amazonlinux api-firewall arangodb
	archlinux artifactory backdrop bash bonita buildpack-deps busybox caddy cassandra centos chronograf
	cirros clearlinux clefos clickhouse clojure composer consul convertigo couchbase couchdb crate crux
	cruxos dart debian docker drupal eclipse-mosquitto eclipse-temurin eggdrop elasticsearch elixir emqx
	erlang euleros express-gateway fedora flink fluentd friendica gazebo gcc geonetwork ghost golang gradle
	groovy haproxy haskell haxe hello-world hipache hitch httpd hylang ibmjava influxdb irssi jenkins jetty
	jobber joomla jruby julia kaazing-gateway kapacitor kibana known kong krakend krakendio lightstreamer
	liquibase logstash mageia mariadb matomo maven mediawiki memcached mongo mongo-express monica mono mysql
	nats nats-streaming neo4j neurodebian nextcloud nginx node notary nuxeo odoo open-liberty openjdk
	opensuse oraclelinux orientdb percona perl photon php php-zendserver phpmyadmin piwik plone postfixadmin
	postgres pypy python r-base rabbitmq rakudo-star rapidoid redis redmine registry rethinkdb rocket.chat
	rockylinux ros ruby rust sapmachine satosa scala scratch sentry silverpeas sl solr sonarqube sourcemage
	spark spiped storm swarm swift swipl teamspeak telegraf thrift tomcat tomee traefik ubuntu
	ubuntu-debootstrap ubuntu-upstart unit valkey varnish vault websphere-liberty wordpress xwiki yourls znc
	zookeeper`)

// IsOfficial reports whether a repository is one of Docker Hub's official images.
func IsOfficial(repository string) bool {
	for _, prefix := range []string{"docker.io/", "index.docker.io/", "registry-1.docker.io/"} {
		repository = strings.TrimPrefix(repository, prefix)
	}
	return slices.Contains(official, strings.TrimPrefix(repository, "library/"))
}
