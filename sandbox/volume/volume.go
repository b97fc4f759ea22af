// Package volume gives claims a volume, as a laptop cluster's local-path provisioner does: the
// default storage class, and a volume for each claim of it. Nothing is ever stored in one.
package volume

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	class       = "standard"
	provisioner = "sandbox.slipway.dev/volume"

	// retry is how soon a claim is looked at again whose volume could not be made.
	retry = 5 * time.Second
)

// Start returns when the storage class is there. It serves claims until ctx ends.
func Start(ctx context.Context, wg *sync.WaitGroup, client kubernetes.Interface) error {
	if _, err := client.StorageV1().StorageClasses().Create(ctx, storageClass(),
		metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	f := informers.NewSharedInformerFactory(client, retry)
	if err := watch(f.Core().V1().PersistentVolumeClaims().Informer(),
		func(c *corev1.PersistentVolumeClaim) error {
			return provision(ctx, client, c)
		}); err != nil {
		return err
	}
	if err := watch(f.Core().V1().PersistentVolumes().Informer(), func(v *corev1.PersistentVolume) error {
		return reclaim(ctx, client, v)
	}); err != nil {
		return err
	}
	f.StartWithContext(ctx)
	wg.Go(func() { <-ctx.Done(); f.Shutdown() })
	return nil
}

func watch[T any](informer cache.SharedIndexInformer, act func(T) error) error {
	handle := func(o any) {
		if err := act(o.(T)); err != nil {
			klog.ErrorS(err, "sandbox volume")
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: handle,
		UpdateFunc: func(_, o any) {
			handle(o)
		}})
	return err
}

func storageClass() *storagev1.StorageClass {
	mode := storagev1.VolumeBindingWaitForFirstConsumer
	return &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name:        class,
			Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner:       provisioner,
		VolumeBindingMode: &mode,
	}
}

// provision makes the volume that the scheduler has asked for by naming a node.
func provision(ctx context.Context, client kubernetes.Interface, c *corev1.PersistentVolumeClaim) error {
	if c.Spec.VolumeName != "" || c.DeletionTimestamp != nil ||
		c.Annotations["volume.kubernetes.io/storage-provisioner"] != provisioner ||
		c.Annotations["volume.kubernetes.io/selected-node"] == "" {
		return nil
	}
	name := "pvc-" + string(c.UID)
	_, err := client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name,
			Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": provisioner}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: c.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   c.Spec.AccessModes,
			VolumeMode:                    c.Spec.VolumeMode,
			StorageClassName:              *c.Spec.StorageClassName,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: c.Namespace, Name: c.Name, UID: c.UID,
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/sandbox/" + name}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("claim %s/%s: %w", c.Namespace, c.Name, err)
	}
	return nil
}

// reclaim deletes what a deleted claim left: the controllers leave that to the provisioner.
func reclaim(ctx context.Context, client kubernetes.Interface, v *corev1.PersistentVolume) error {
	if v.Status.Phase != corev1.VolumeReleased || v.DeletionTimestamp != nil ||
		v.Annotations["pv.kubernetes.io/provisioned-by"] != provisioner ||
		v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		return nil
	}
	if err := client.CoreV1().PersistentVolumes().Delete(ctx, v.Name, metav1.DeleteOptions{}); err != nil &&
		!apierrors.IsNotFound(err) {
		return fmt.Errorf("volume %s: %w", v.Name, err)
	}
	return nil
}
