package parsers

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// kinds are the types by which manifests are decoded.
var kinds = map[string]func() any{
	"v1 Namespace":                       func() any { return &core.Namespace{} },
	"v1 ConfigMap":                       func() any { return &core.ConfigMap{} },
	"v1 Service":                         func() any { return &core.Service{} },
	"apps/v1 StatefulSet":                func() any { return &apps.StatefulSet{} },
	"networking.k8s.io/v1 NetworkPolicy": func() any { return &networking.NetworkPolicy{} },
	"networking.k8s.io/v1 Ingress":       func() any { return &networking.Ingress{} },
}

// decode reads all documents of a manifest; an unknown field is an error.
func decode(t *testing.T, text []byte) (all []any, err error) {
	t.Helper()
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		one, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		var head meta.TypeMeta
		if err := yaml.Unmarshal(one, &head); err != nil {
			return nil, err
		}
		make, known := kinds[head.APIVersion+" "+head.Kind]
		if !known {
			t.Fatalf("no type for %s %s", head.APIVersion, head.Kind)
		}
		object := make()
		if err := yaml.UnmarshalStrict(one, object); err != nil {
			return nil, err
		}
		all = append(all, object)
	}
}

// TestKubernetes: the API's types take every manifest, all of one namespace; the pod is
// as a cluster with the strictest standard wants it.
func TestKubernetes(t *testing.T) {
	files, err := filepath.Glob(deployed + "/kubernetes/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("manifests %q, %v", files, err)
	}
	pods := 0
	for _, file := range files {
		all, err := decode(t, read(t, "kubernetes/"+filepath.Base(file)))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, object := range all {
			o := object.(meta.Object)
			if _, namespace := object.(*core.Namespace); !namespace && o.GetNamespace() != "marketprism" {
				t.Errorf("%s: %s is in the namespace %q", file, o.GetName(), o.GetNamespace())
			}
			if set, ok := object.(*apps.StatefulSet); ok {
				pods++
				restricted(t, set)
			}
		}
	}
	if pods == 0 {
		t.Error("no pod")
	}
}

func restricted(t *testing.T, set *apps.StatefulSet) {
	t.Helper()
	pod := set.Spec.Template.Spec
	for k, v := range set.Spec.Selector.MatchLabels {
		if set.Spec.Template.Labels[k] != v {
			t.Errorf("the selector %s=%s does not match the pod", k, v)
		}
	}
	p := pod.SecurityContext
	if p == nil || p.RunAsNonRoot == nil || !*p.RunAsNonRoot || p.SeccompProfile == nil || p.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod's security context is %+v", p)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("the pod gets a token of the cluster that it does not need")
	}
	claims := []string{}
	for _, c := range set.Spec.VolumeClaimTemplates {
		claims = append(claims, c.Name)
	}
	for _, v := range pod.Volumes {
		claims = append(claims, v.Name)
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
			s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("%s: the security context is %+v", c.Name, s)
		}
		if c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil || c.Resources.Requests.Memory().IsZero() {
			t.Errorf("%s lacks probes or requests", c.Name)
		}
		for _, m := range c.VolumeMounts {
			if !slices.Contains(claims, m.Name) {
				t.Errorf("%s mounts %s, which there is not", c.Name, m.Name)
			}
		}
	}
}

// TestKubernetesIsStrict proves that a field that there is not is an error.
func TestKubernetesIsStrict(t *testing.T) {
	if _, err := decode(t, []byte("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {portz: []}\n")); err == nil {
		t.Error("an unknown field is taken")
	}
}
