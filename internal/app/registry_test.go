package app_test

import (
	"slices"
	"testing"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/internal/app"
)

// Where a service is looked for: at its configured addresses, else on this node.
func TestStaticRegistry(t *testing.T) {
	c := config.Default()
	c.Node.Listen = "0.0.0.0"
	c.Cluster.Services.Storage = []string{"10.0.0.7:8080", "10.0.0.8:8080"}
	r := app.StaticRegistry(&c)
	for service, want := range map[string][]string{
		cluster.Storage:   {"http://10.0.0.7:8080", "http://10.0.0.8:8080"},
		cluster.Collector: {"http://127.0.0.1:8082"},
	} {
		found, err := r.Instances(t.Context(), service)
		var urls []string
		for _, i := range found {
			urls = append(urls, i.URL())
		}
		if err != nil || !slices.Equal(urls, want) {
			t.Errorf("%s: %v, %v; want %v", service, urls, err, want)
		}
	}
}
