package cluster_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/cluster"
)

func TestStatic(t *testing.T) {
	at := cluster.Instance{Service: cluster.Storage, Host: "::1", Port: 8080}
	r := cluster.Static{cluster.Storage: {at}}
	got, err := r.Instances(context.Background(), cluster.Storage)
	if err != nil || !slices.Equal(got, []cluster.Instance{at}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got[0].URL() != "http://[::1]:8080" {
		t.Errorf("URL %s", got[0].URL())
	}
	if got, err := r.Instances(context.Background(), cluster.Gateway); err != nil || len(got) != 0 {
		t.Errorf("a service that runs nowhere: %v, %v", got, err)
	}
	var unknown *cluster.UnknownServiceError
	if _, err := r.Instances(context.Background(), "storage"); !errors.As(err, &unknown) {
		t.Errorf("error %v", err)
	}
}

func TestNamed(t *testing.T) {
	got, err := cluster.Named([]string{cluster.Collector, cluster.Broker})
	if err != nil || !slices.Equal(got, []string{cluster.Broker, cluster.Collector}) {
		t.Errorf("got %v, %v: want start order", got, err)
	}
	if all, err := cluster.Named(nil); err != nil || len(all) != 6 {
		t.Errorf("got %v, %v", all, err)
	}
	if _, err := cluster.Named([]string{"nope"}); err == nil {
		t.Error("an unknown name passed")
	}
}
